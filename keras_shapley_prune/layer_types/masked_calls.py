"""Masks of a single call: what an operation computes without some of its channels."""

import functools
import inspect

import keras
import tensorflow as tf

from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.unit_ids import kept


class Mask:
    """Which channels are there: 1 for one that is, 0 for one that is not.

    Args:
        values: Tensor, shape `(channels,)`, or `(batch, channels)` where each example
            has a mask of its own.
        watch: Optional callable `fn(tensor)`, called with whatever has been masked.
    """

    def __init__(self, values, watch=None):
        self.values, self._watch = values, watch

    def along(self, inputs):
        """Returns the mask as a factor for the last axis of a tensor.

        Args:
            inputs: Tensor, shape `(batch, ..., channels)`.
        """
        mask = keras.ops.cast(self.values, inputs.dtype)
        if len(mask.shape) == 2:
            middle = (1,) * (len(inputs.shape) - 2)
            mask = keras.ops.reshape(mask, (-1, *middle, mask.shape[-1]))
            mask = _spread_over_rows(mask, inputs)
        return mask

    def __call__(self, inputs):
        """Returns a tensor without the channels, zero in their place."""
        masked = inputs * self.along(inputs)
        steps = getattr(inputs, "_keras_mask", None)
        if steps is not None:  # Keras's own masks, of time steps, travel like this
            masked._keras_mask = steps
        if self._watch is not None:
            self._watch(masked)
        return masked


def _spread_over_rows(mask, inputs):
    """Returns masks of examples as those of rows, where an example has become several.

    Such as the windows of an image, which stand one after another.
    """
    if mask.shape[0] is not None and mask.shape[0] in (1, inputs.shape[0]):
        return mask  # a row each
    rows = keras.ops.shape(inputs)[0] // keras.ops.shape(mask)[0]
    return (
        mask if isinstance(rows, int) and rows == 1 else keras.ops.repeat(mask, rows, 0)
    )


def no_masks(call):
    """The `find_masks` of a network that is whole."""
    return {}


def masks_at(channel_map, keep, call):
    """Returns the masks of one call in a network without some units.

    Args:
        channel_map: The `ChannelMap` of the network.
        keep: Boolean array, shape `(num_units,)`, the units that are there.
        call: A `Call`.

    Returns:
        Dict: input position, or `INSIDE` -> `Mask`, where not all channels are there.
    """
    found = channel_map.sites_at(call).items()
    left = {position: kept(keep, ids) for position, ids in found}
    return {
        position: Mask(keras.ops.convert_to_tensor(mask, "float32"))
        for position, mask in left.items()
        if not mask.all()
    }


def mask_inputs(inputs, masks):
    """Returns what a call reads, masked.

    Args:
        inputs: List of tensors.
        masks: Dict: input position -> `Mask`.
    """
    return [masks[i](x) if i in masks else x for i, x in enumerate(inputs)]


def run_masked(call, inputs, masks):
    """Runs a recorded call as if some of its channels were not there.

    This is the one place that decides what a mask does to an operation: what it reads
    is multiplied, and an operation whose computation depends on which channels there
    are has a masked form (see `LayerType.masked`).

    Args:
        call: A `Call`.
        inputs: List of tensors, what it reads, unmasked.
        masks: Dict: input position, or `INSIDE` -> `Mask`.

    Returns:
        Flat list of what the operation returns.
    """
    args, kwargs = call.fill_in(mask_inputs(inputs, masks))
    kwargs = for_inference(call.operation, kwargs)
    with HeldState():  # seeds do not move on: a layer draws the same in every call
        if masks:
            layer_type = find_layer_type(call.operation)
            outputs = layer_type.masked(call.operation, masks, *args, **kwargs)
        else:  # also what is not registered, which has no masks
            outputs = call.operation(*args, **kwargs)
    outputs = keras.tree.flatten(outputs)
    for output, symbolic in zip(outputs, call.outputs, strict=True):
        # While it compiles, TensorFlow does not know how many axes are left where one
        # whose length is open could be squeezed; Keras does.
        if isinstance(output, tf.Tensor) and output.shape.rank is None:
            output.set_shape(symbolic.shape)
    return outputs


def for_inference(operation, kwargs):
    """Returns what an operation is called with in a model that does not train.

    Args:
        operation: The layer or raw operation.
        kwargs: Dict, what it was called with when it was recorded, by name.
    """
    # A model in inference tells all of its layers so, whatever they were called with.
    # Called alone, random flips, among others, take themselves to be in training.
    if kwargs.get("training") is True or _trains_by_default(type(operation)):
        return {**kwargs, "training": False}
    return kwargs


def takes_training(operation):
    """Returns whether the call of an operation has an argument `training`."""
    return "training" in inspect.signature(operation.call).parameters


@functools.cache
def _trains_by_default(kind):
    """Returns whether the call of a kind of operation has `training=True`."""
    argument = inspect.signature(kind.call).parameters.get("training")
    return argument is not None and argument.default is True
