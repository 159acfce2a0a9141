"""Layers that give a tensor sizes that another one has when the model runs.

Code asks a tensor for the number of its examples, and reshapes or repeats by it. A
graph is made before that number is known: these layers read it when they are called.
"""

import dataclasses

import keras
from keras import layers, ops

from keras_shapley_prune.layer_types import flows
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.joins import TargetType


class _SizedLayer(layers.Layer):
    """Gives a tensor a shape, some of whose sizes are those of another tensor.

    To load a file of a model with it, import `keras_shapley_prune` first.

    Args:
        sizes: Sequence, one entry an axis of the output: an integer, or for a size that
            is read from the other tensor a list `[factor, parts, axis, ...]`: a number,
            times the lengths of some of its axes, in so many equal parts.
        **kwargs: As of a `keras.Layer`.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.sizes = [size if isinstance(size, int) else list(size) for size in sizes]

    def resolve(self, shape):
        """Returns the sizes as a tuple, by the shape of the other tensor."""
        return tuple(_resolve(size, shape) for size in self.sizes)

    def compute_output_spec(self, inputs, other):
        shape = [None if n == -1 else n for n in self.resolve(other.shape)]
        return keras.KerasTensor(shape, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes}


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class BroadcastLike(_SizedLayer):
    __doc__ = f"Repeats a tensor along axes of length 1. {_SizedLayer.__doc__}"

    def call(self, inputs, other):
        return ops.broadcast_to(inputs, self.resolve(ops.shape(other)))


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class ReshapeLike(_SizedLayer):
    __doc__ = f"Reshapes a tensor. {_SizedLayer.__doc__}"

    def call(self, inputs, other):
        return ops.reshape(inputs, self.resolve(ops.shape(other)))


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class CropLike(_SizedLayer):
    __doc__ = f"Takes the beginning of axes, -1 for all. {_SizedLayer.__doc__}"

    def call(self, inputs, other):
        sizes = self.resolve(ops.shape(other))
        return inputs[tuple(slice(0, None if n == -1 else n) for n in sizes)]

    def compute_output_spec(self, inputs, other):
        sizes = zip(inputs.shape, self.resolve(other.shape), strict=True)
        shape = [old if new == -1 else new for old, new in sizes]
        return keras.KerasTensor(shape, inputs.dtype)


class SizedType(TargetType):
    """A layer some of whose sizes may be the numbers of units."""

    def __init__(self, flow):
        super().__init__(flow, "sizes")

    def is_for_all(self, call, read):
        # Of the other tensor only the sizes are read: the number of examples makes one
        # for each of what it is given, others are lengths.
        first = call.operation.sizes[0] if call.operation.sizes else 1
        return read[0] and (isinstance(first, int) or 0 not in first[2:])


def _without_other(flow):
    """Returns a flow for which the tensor whose sizes are read does not count."""

    def flow_alone(call, channels):
        return flow(dataclasses.replace(call, inputs=call.inputs[:1]), channels)

    return flow_alone


def _resolve(size, shape):
    if isinstance(size, int):
        return size
    product, parts, *axes = size
    for axis in axes:
        if shape[axis] is None:
            return None
        product = product * shape[axis]
    return product // parts


def _crop(call, channels):
    """The same channels at fewer positions."""
    axes = channels.axes(call.inputs[0])
    for axis, ids in axes.items():
        if call.operation.sizes[axis] not in (-1, len(ids)):
            reason = f"{channels.quote(call)} takes the first channels only"
            channels.lock(ids, reason)
    return axes


LAYER_TYPES |= {
    BroadcastLike: SizedType(_without_other(flows.broadcast)),
    ReshapeLike: SizedType(_without_other(flows.reshape)),
    CropLike: SizedType(_without_other(_crop)),
}
