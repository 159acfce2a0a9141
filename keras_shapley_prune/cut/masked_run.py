"""A run of the masked network, and the same run of the pruned one."""

import functools

import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.random_calls import find_random_calls
from keras_shapley_prune.cut.state_copies import pair_states
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.masked_calls import masks_at
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.trace.pairing import pair_calls
from keras_shapley_prune.trace.recording import record_graph

TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


class MaskedRun:
    """What the masked network returns for some examples, and what it has drawn.

    A layer that draws at random draws the same in the pruned network: it starts from
    the same seed. Where that is not possible, because it draws by no seed of Keras or
    for channels of which some are removed, it is run there too, and then what it has
    drawn in the masked network takes the place of what it returned.

    Args:
        channel_map: The `ChannelMap` of the original.
        keep: Boolean array, shape `(num_units,)`, the units that are kept.
        inputs: Some examples, structured as the model takes them.

    Attributes:
        outputs: What the masked network returned.
    """

    def __init__(self, channel_map, keep, inputs):
        self._graph = channel_map.graph
        absent = channel_map.absent_calls(keep)
        self._there = [c for c in self._graph.calls if c.index not in absent]
        self._random = find_random_calls(self._graph, inputs)
        to_pass_on = [*self._random.unseeded]
        for call in self._random.seeded:
            if not _kept_outputs(channel_map, keep, call.outputs[0]).all():
                to_pass_on.append(call)
        # Masks use `channel_map.sites`, surgery `channel_map.layer_ids`: a mistake in
        # one of them makes the networks differ.
        masks = functools.partial(masks_at, channel_map, keep)
        self._drawn, values = {}, self._graph.feed(inputs)
        for call in self._graph.calls:
            self._graph.run_between(values, call.index, call.index + 1, masks)
            if call in to_pass_on:
                self._drawn[call.index] = [
                    _cut(values[tensor], _kept_outputs(channel_map, keep, tensor))
                    if tensor in values  # else no call reads it
                    else None
                    for tensor in call.outputs
                ]
        self.outputs = self._graph.collect(values)

    @property
    def tolerance(self):
        """Float, that of the coarsest number format in which a layer computes."""
        return find_tolerance(self._graph)

    def run_alike(self, pruned, inputs):
        """Returns what the pruned model returns if it draws what this network drew.

        Args:
            pruned: The pruned `keras.Model`. Its seeds and states do not move on.
            inputs: The same examples.
        """
        found = self._random
        graph = record_graph(pruned) if found != type(found)() else None
        twins = graph and pair_calls(self._there, graph.calls)
        if not twins:
            with HeldState():
                return pruned(inputs, training=False)
        values = graph.feed(inputs)
        with HeldState(self._states_for(twins)):
            for call in graph.calls:
                graph.run_between(values, call.index, call.index + 1)
                if call in twins:
                    self._pass_on(twins[call], call, values)
        return graph.collect(values)

    def _states_for(self, twins):
        """Returns pairs of a state in another network, and its value in this one."""
        pairs = [pair_states(a.operation, b.operation) for b, a in twins.items()]
        return [(theirs, ours.value) for found in pairs for ours, theirs in found]

    def _pass_on(self, twin, call, values):
        """Puts what has been drawn here in the place of what a call returned."""
        drawn = self._drawn.get(twin.index, [None] * len(call.outputs))
        for tensor, value in zip(call.outputs, drawn, strict=True):
            # What has another shape is an error that the comparison is to find.
            if value is not None and values[tensor].shape == value.shape:
                values[tensor] = value


def find_tolerance(graph):
    """Returns that of the coarsest number format in which a layer of a graph computes.

    Args:
        graph: A recorded `Graph`.

    Returns:
        Float, a share of the largest number in an output.
    """
    dtypes = {getattr(call.operation, "compute_dtype", None) for call in graph.calls}
    return max([TOLERANCES[d] for d in dtypes if d in TOLERANCES], default=1e-4)


def _kept_outputs(channel_map, keep, tensor):
    """Returns which positions of a tensor's last axis are kept."""
    ids = channel_map.ids.get(tensor)
    return np.array([True]) if ids is None else kept(keep, ids)


def _cut(value, mask):
    return value if mask.all() else tf.gather(value, np.flatnonzero(mask), axis=-1)
