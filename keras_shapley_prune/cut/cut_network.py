"""A smaller network, and how it corresponds to the one it was cut out of."""

import dataclasses
import functools

import keras
import numpy as np

from keras_shapley_prune.cut.gone import without_anything, without_inputs
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.unit_ids import kept


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """A smaller copy of a model, and which of its operations stands for which.

    Attributes:
        channel_map: The `ChannelMap` of the original.
        keep: Boolean array, shape `(num_units,)`, the units that are kept.
        model: The smaller `keras.Model`.
        operations: Dict: operation of the original -> that of `model`. What has gone
            with a block is not in it.
    """

    channel_map: object
    keep: np.ndarray
    model: keras.Model
    operations: dict

    @functools.cached_property
    def graph(self):
        """`Graph` of the calls of the original, of the operations of `model`.

        Its symbolic tensors are those of the original: their last axis may be longer
        than that of the values which they stand for. Calls keep their places: where one
        has gone with a block, another stands that does nothing.
        """
        calls = []
        absent = self.channel_map.absent_calls(self.keep)
        removed = self.channel_map.removed_inputs(self.keep)
        for call in self.channel_map.graph.calls:
            if call.index in absent:
                calls.append(without_anything(call))
                continue
            args, kwargs = resize_call(
                call.operation, call.args, call.kwargs, self.kept_at(call.operation)
            )
            # A cast at the border of a nested model stands in its graph alone.
            ours = self.operations.get(call.operation, call.operation)
            call = dataclasses.replace(call, operation=ours, args=args, kwargs=kwargs)
            if call.index in removed:
                call = without_inputs(call, ours, removed[call.index])
            calls.append(call)
        return dataclasses.replace(self.channel_map.graph, calls=tuple(calls))

    @functools.cached_property
    def smaller_map(self):
        """The `ChannelMap` of the smaller model, on the symbolic tensors of `graph`.

        Its units, groups and sites are those of the original.
        """
        whole, ours = self.channel_map, self.operations
        return dataclasses.replace(
            whole,
            graph=self.graph,
            layer_ids={ours.get(o, o): ids for o, ids in whole.layer_ids.items()},
            produced={(ours.get(o, o), a): p for (o, a), p in whole.produced.items()},
        )

    def kept_at(self, operation):
        """Returns a dict: letter of a weight axis -> which positions are kept.

        Args:
            operation: One of the original.
        """
        return find_kept(self.channel_map, self.keep, operation)


def find_kept(channel_map, keep, operation):
    """Returns what `Cut.kept_at` does, before there is a `Cut`."""
    letters = channel_map.layer_ids.get(operation, {})
    return {letter: kept(keep, ids) for letter, ids in letters.items()}


def resize_call(operation, args, kwargs, kept_at):
    """Returns the arguments of a call, of another size where these matter.

    Such as the bounds of a slice of channels: they are not in the config.

    Args:
        operation: The operation of the original.
        args: Tuple, positional arguments.
        kwargs: Dict, keyword arguments.
        kept_at: See `Cut.kept_at`.
    """
    if not kept_at:
        return args, kwargs
    return find_layer_type(operation).resize_call(args, kwargs, kept_at)
