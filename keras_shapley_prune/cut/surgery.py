"""Surgery: rebuilds a model without the removed units."""

import keras
import numpy as np

from keras_shapley_prune.cut.cut_network import Cut, find_kept, resize_call
from keras_shapley_prune.cut.gone import Gone, add_remaining
from keras_shapley_prune.cut.layer_copies import copy_operation, copy_weights
from keras_shapley_prune.cut.model_classes import (
    check_class,
    new_sequential,
    take_class,
)
from keras_shapley_prune.cut.state_copies import copy_states
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.stepwise.layer import (
    at_steps,
    count_depth,
    innermost,
)
from keras_shapley_prune.layer_types.stock.time_distributed import (
    find_wrapped,
    wrap_again,
)
from keras_shapley_prune.layer_types.trainable_flags import copy_flags
from keras_shapley_prune.layer_types.unit_ids import count_kept, has_units, kept
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    input_structure,
    new_inputs,
    runs_its_graph,
)
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


class _Copier:
    """Re-creates a model, and those nested in it, with the kept channels.

    Every operation and nested model has one copy, however often it is called: shared
    weights are shared in the copy too.

    Args:
        channel_map: The `ChannelMap` of the model.
        keep: Boolean array, shape `(num_units,)`, the units to keep.

    Attributes:
        operations: Dict: operation of the model -> its copy. What has gone with blocks
            is not in it.
        gone: The `Gone`.
    """

    def __init__(self, channel_map, keep):
        self._map, self._keep = channel_map, keep
        self._models, self._copies, self.operations = {}, {}, {}  # original -> copy
        self._originals = {}  # copy of an operation -> original
        # What is called at every time step is copied as what is called at one.
        self._called_as = {}  # operation -> as the calls of the graph have it
        for call in channel_map.graph.calls:
            names = self._called_as.setdefault(innermost(call.operation), {})
            names[call.operation] = None
        self.gone = Gone(channel_map, keep)
        self._entries = {}  # nested model -> units of what enters it, on each axis
        # In all calls of a nested model the same channels enter it: the first tells.
        for call in channel_map.graph.nested:
            axes = [self._axes_of(tensor) for tensor in call.inputs]
            self._entries.setdefault(call.model, axes)

    def copy_model(self, model):
        """Returns a Sequential or functional model of copies of its operations."""
        outermost = not self._models
        self._models[model] = None  # stands before those that are nested in it
        structure = input_structure(model)
        inputs = new_inputs(structure, self._input_shapes(model, structure))
        # A Sequential model becomes one again: its view would become functional.
        if isinstance(model, keras.Sequential):
            layers = [self.copy(layer) for layer in model.layers]
            copied = new_sequential(model, [inputs, *layers], outermost)
        else:
            calls = _Calls(self, None if outermost else model)
            copied = keras.models.clone_model(
                functional_view(model),
                input_tensors=inputs,
                clone_function=lambda operation: operation,  # copied where called
                call_function=calls,
            )
        if outermost:  # nested, it is not trained by itself
            copies = {**self._models, **self.operations}
            copied = take_class(model, copied, copies, bool(self.gone.inputs))
        self._models[model] = copied
        return copied

    def copy_trainable_flags(self):
        """Sets the flags of models, of their layers, and of all within those."""
        # `_models` is in the order outer before inner, so that the inner flag wins.
        copy_flags([*self._models.items(), *self.operations.items()])

    def copy_weights(self):
        """Copies weights, without the slices of removed channels."""
        for original, copied in self.operations.items():
            if isinstance(innermost(original), keras.Layer):
                copy_weights(original, copied, self._kept_at(innermost(original)))
                copy_states(original, copied)

    def copy(self, operation):
        """Returns the one copy of an operation, nested model or wrapper."""
        if self._models.get(operation) is not None:
            return self._models[operation]
        if runs_its_graph(operation):
            return self.copy_model(operation)
        wrapped = find_wrapped(operation)
        if wrapped is not None and operation not in self._called_as:
            self._models[operation] = None  # as of a model, before what is in it
            self._models[operation] = wrap_again(operation, self.copy(wrapped))
            return self._models[operation]
        if operation not in self._copies:
            copied = copy_operation(operation, self._kept_at(operation))
            self._copies[operation], self._originals[copied] = copied, operation
            for called in self._called_as.get(operation, [operation]):
                self.operations[called] = at_steps(copied, count_depth(called))
        return self._copies[operation]

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

    def _input_shapes(self, model, structure):
        """Returns the shapes that the inputs of a model have without what is removed.

        `None` for the outermost model, whose inputs have no units.
        """
        if model not in self._entries:
            return None
        shapes = [list(x.shape) for x in keras.tree.flatten(structure)]
        for shape, axes in zip(shapes, self._entries[model], strict=True):
            for axis, ids in axes.items():
                if shape[axis] is not None:
                    shape[axis] = count_kept(kept(self._keep, ids))
        return shapes


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
