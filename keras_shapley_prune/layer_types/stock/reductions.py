"""Raw operations that reduce the channels to one number: norms written by hand.

What is left of a mean over the channels depends on how many there are, so its masked
form takes it over those that are there, as the smaller network will.
"""

import keras
import numpy as np
from keras import ops

from keras_shapley_prune.layer_types import flows
from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.registry import OPERATION_TYPES


class ReductionType(DeclaredType):
    """A reduction; of the channels to one number, it reads them all.

    Args:
        reduce: Callable `fn(inputs, there, axes)` that returns the reduction, without
            its axes but of length 1, of those inputs only where `there` is 1. `None` if
            zeros do not matter to the operation.
    """

    def __init__(self, reduce=None, unfit=None):
        super().__init__(flows.reduce_channels, unfit=unfit)
        self._reduce = reduce

    def masked(self, operation, masks, inputs):
        if self._reduce is None:
            return operation(inputs)
        axes = _axes_of(operation, len(inputs.shape))
        there = masks[0].along(inputs) * ops.ones_like(inputs)
        reduced = self._reduce(inputs, there, axes)
        return reduced if operation.keepdims else ops.squeeze(reduced, axes)


def _axes_of(operation, rank):
    axis = operation.axis
    return list(range(rank)) if axis is None else (np.atleast_1d(axis) % rank).tolist()


def _mean(inputs, there, axes):
    count = ops.maximum(ops.sum(there, axes, keepdims=True), 1)
    return ops.sum(inputs * there, axes, keepdims=True) / count


def _variance(inputs, there, axes):
    centered = inputs - _mean(inputs, there, axes)
    return _mean(centered * centered, there, axes)


def _deviation(inputs, there, axes):
    return ops.sqrt(_variance(inputs, there, axes))


def _largest(inputs, there, axes):
    half = keras.backend.standardize_dtype(inputs.dtype) == "float16"
    # Finite, as there may be no channel at all.
    lowest = ops.where(there > 0, inputs, ops.full_like(inputs, -3e4 if half else -1e9))
    return ops.max(lowest, axes, keepdims=True)


def _smallest(inputs, there, axes):
    return -_largest(-inputs, there, axes)


def _no_sum_of_powers(call):
    # The norm of a matrix, or a largest entry, is no sum that zeros add nothing to.
    rank, order, axes = (
        len(call.inputs[0].shape),
        call.operation.ord,
        call.operation.axis,
    )
    if axes is None or rank - 1 not in np.atleast_1d(axes) % rank:
        return None  # where it is not over the channels, any norm will do
    if order is None or (len(axes) == 1 and order in (1, 2)):
        return None
    return f"has ord={order!r} and axis={axes!r}, which is no sum of powers"


OPERATION_TYPES["Norm"] = ReductionType(unfit=_no_sum_of_powers)
for name, function in {
    "Sum": None,
    "Mean": _mean,
    "Var": _variance,
    "Std": _deviation,
    "Max": _largest,
    "Min": _smallest,
    "Amax": _largest,
    "Amin": _smallest,
}.items():
    OPERATION_TYPES[name] = ReductionType(function)
