"""Surgery: rebuilds a model without the removed units."""

import keras
import numpy as np

from keras_shapley_prune.cut.cut_network import Cut, find_kept, resize_call
from keras_shapley_prune.cut.gone import Gone, add_remaining
from keras_shapley_prune.cut.layer_copies import copy_operation, copy_weights
from keras_shapley_prune.cut.model_classes import check_class
from keras_shapley_prune.cut.model_copies import ModelCopier
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.unit_ids import count_kept, has_units, kept
from keras_shapley_prune.trace.named_units import resolve_keep
from keras_shapley_prune.trace.wanted_units import map_for_units


@undisturbed
def remove_channels(model, keep=None, channel_map=None, remove=None):
    """Returns a smaller copy of `model`, without some of its units.

    Layers are re-created from their configs, with the same names, dtype policies and
    trainable flags; only the number of filters (units, target shape) changes. Nested
    models are nested in the copy too, with narrower inputs if channels that enter them
    are removed. Weights are copied, without the slices of removed channels.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        keep: The units to keep: a boolean array, shape `(num_units,)`; or a dict of
            names -> those to keep of the units so named, where all others are kept. A
            name is that of a group, or of a layer that produces units, tied ones too.
            The units are given by a boolean mask, or by a list of integers, their
            positions: `keep={"conv1": [0, 2]}` keeps two filters.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        remove: In place of `keep`, a dict of names -> the units to remove, in the same
            forms: `remove={"conv1": [0, 2]}` removes two filters.

    Returns:
        A `keras.Sequential` if `model` is one, else a functional `keras.Model`, not
        compiled. It computes what `mask_channels(model, keep)` computes. If the class
        of `model` has a `train_step` (or the like) of its own and can be made from
        inputs and outputs, the result is of that class; if it cannot, a `UserWarning`
        says so.

    Raises:
        ValueError: If locked units, or all units of a group, are removed, or a name,
            mask or position does not fit.

    Example:

    ```python
    smaller = keras_shapley_prune.remove_channels(model, remove={"conv2d": [3, 4, 7]})
    channel_map = keras_shapley_prune.trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)  # or for all units at once
    keep[channel_map.groups[0].units[:8]] = False
    smaller = keras_shapley_prune.remove_channels(model, keep, channel_map)
    ```
    """
    channel_map = map_for_units(model, channel_map, keep, remove)
    keep = resolve_keep(channel_map, keep, remove)
    check_class(model)
    return cut_out(model, keep, channel_map).model


def cut_out(model, keep, channel_map):
    """Does what `remove_channels` does.

    Args:
        model: See `remove_channels`.
        keep: See `remove_channels`.
        channel_map: The `ChannelMap` of `model`.

    Returns:
        A `Cut`.

    Raises:
        ValueError: See `remove_channels`.
    """
    keep = channel_map.check_keep(keep)
    copier = _Copier(channel_map, keep)
    pruned = copier.copy_model(model)
    # The flag of a model sets those of its layers, so all copies have to be there.
    copier.copy_trainable_flags()
    copier.copy_weights()
    return Cut(channel_map, keep, pruned, copier.operations)


def copy_whole(model, channel_map):
    """Returns a `Cut` from which nothing has been cut: a copy of its own.

    Args:
        model: The `keras.Model`.
        channel_map: Its `ChannelMap`.
    """
    return cut_out(model, np.ones(channel_map.num_units, bool), channel_map)


class _Copier(ModelCopier):
    """Re-creates a model, and those nested in it, with the kept channels.

    Args:
        channel_map: The `ChannelMap` of the model.
        keep: Boolean array, shape `(num_units,)`, the units to keep.

    Attributes:
        gone: The `Gone`, with what has gone with blocks.
    """

    def __init__(self, channel_map, keep):
        super().__init__(channel_map.graph)
        self._map, self._keep = channel_map, keep
        self._originals = {}  # copy of an operation -> original
        self.gone = Gone(channel_map, keep)
        self._entries = {}  # nested model -> units of what enters it, on each axis
        # In all calls of a nested model the same channels enter it: the first tells.
        for call in channel_map.graph.nested:
            axes = [self._axes_of(tensor) for tensor in call.inputs]
            self._entries.setdefault(call.model, axes)

    @property
    def has_gone(self):
        return bool(self.gone.inputs)

    def make(self, operation):
        copied = copy_operation(operation, self._kept_at(operation))
        self._originals[copied] = operation
        return copied

    def copy_weights_of(self, operation, copied):
        copy_weights(operation, copied, self._kept_at(innermost(operation)))

    def make_caller(self, model):
        return _Calls(self, model)

    def input_shapes(self, model, structure):
        # `None` for the outermost model, whose inputs have no units.
        if model not in self._entries:
            return None
        shapes = [list(x.shape) for x in keras.tree.flatten(structure)]
        for shape, axes in zip(shapes, self._entries[model], strict=True):
            for axis, ids in axes.items():
                if shape[axis] is not None:
                    shape[axis] = count_kept(kept(self._keep, ids))
        return shapes

    def call(self, copied, args, kwargs):
        """Calls a copy, with arguments of another size where these matter.

        Args:
            copied: What `copy` returned.
            args: Tuple, what the original is called with.
            kwargs: Dict, the same by name.
        """
        original = self._originals.get(copied)
        kept_at = self._kept_at(original)
        args, kwargs = resize_call(original, args, kwargs, kept_at)
        return copied(*args, **kwargs)

    def _kept_at(self, operation):
        called = next(iter(self._called_as.get(operation, [operation])))
        return find_kept(self._map, self._keep, called)

    def _axes_of(self, tensor):
        """Returns a dict: axis of a tensor -> unit ids, where there are units.

        Axes are counted from the right: in a call at every time step, what enters a
        model has more axes than its `Input`.
        """
        rank, ids = len(tensor.shape), self._map.ids[tensor]
        across = self._map.across.get(tensor, {})
        axes = {axis - rank: units for axis, units in across.items()}
        return {**axes, -1: ids} if has_units(ids) else axes


class _Calls:
    """The calls that one model makes, one after the other, as its copy makes them.

    Args:
        copier: The `_Copier`.
        model: The nested model, `None` for the outermost: see `Call.node`.
    """

    def __init__(self, copier, model):
        self._copier, self._gone = copier, copier.gone
        self._model, self._count = model, 0

    def __call__(self, operation, *args, **kwargs):
        """Makes the next call with a copy, without what has gone with blocks."""
        node = (self._model, self._count)
        self._count += 1
        if node in self._gone.returned:
            return self._gone.returned[node]  # nothing that is there reads it
        copied = self._copier.copy(operation)
        if node in self._gone.inputs:
            is_end, removed = node in self._gone.ends, self._gone.inputs[node]
            return add_remaining(copied, args, kwargs, removed, is_end)
        return self._copier.call(copied, args, kwargs)
