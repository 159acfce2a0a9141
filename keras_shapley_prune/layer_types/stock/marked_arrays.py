"""Constants whose lengths are known when the model runs only.

Code makes them of a size that it asks for: zeros, positions, the mask of a sequence
that sees nothing of what comes later.
"""

import numpy as np
from keras import ops

from keras_shapley_prune.layer_types.stock.own_weights import hold_constant


def make_array(array, marked, place, broadcast):
    """Returns a symbolic tensor of the numbers of an array, whatever its lengths.

    Args:
        array: The array, as it was made where numbers stood for open lengths.
        marked: List of integers, the axes of these lengths.
        place: The symbolic tensor that layers which return constants are called on.
        broadcast: Callable `fn(tensor, shape)` that repeats a symbolic tensor along
            axes of length 1, to lengths of the array.

    Returns:
        A symbolic tensor, of length 1 where the array is the same along a marked axis.
        `None` unless it is that along all of them, holds positions, or is a triangle.
    """
    varying = []
    for axis in marked:
        first = np.take(array, [0], axis)
        if (array == first).all():
            array = first
        else:
            varying.append(axis)
    if not varying:
        return hold_constant(array)(place)
    shape = array.shape
    counts = [_count_along(len(shape), axis, shape[axis]) for axis in varying]

    def symbolic_count(axis):
        ones = hold_constant(np.ones([1] * len(shape), "int32"))(place)
        lengths = [n if i == axis else 1 for i, n in enumerate(shape)]
        return ops.cumsum(broadcast(ones, lengths), axis=axis) - 1

    symbolic = [symbolic_count(axis) for axis in varying]
    if len(varying) == 1:
        return _make_progression(array, varying[0], counts[0], symbolic[0], place)
    return _make_triangle(array, counts, symbolic) if len(varying) == 2 else None


def _make_progression(array, axis, count, symbolic, place):
    """Returns numbers that rise by the same step, as those of positions do."""
    if array.dtype.kind == "b":
        return None
    first, second = (np.take(array, [n], axis) for n in (0, 1))
    step = second - first
    if not np.array_equal(array, first + step * count):
        return None
    first, step = (hold_constant(values)(place) for values in (first, step))
    return ops.cast(first + step * symbolic, str(array.dtype))


def _make_triangle(array, counts, symbolic):
    """Returns one number below a diagonal, and another one above it."""
    for offset in (0, 1):  # whether the diagonal itself is below
        inside = np.broadcast_to(counts[0] >= counts[1] + offset, array.shape)
        values = [np.unique(array[where]) for where in (inside, ~inside)]
        if all(len(found) == 1 for found in values):
            below, above = (found.item() for found in values)
            is_below = symbolic[0] >= symbolic[1] + offset
            return ops.cast(ops.where(is_below, below, above), str(array.dtype))
    return None


def _count_along(rank, axis, length):
    """Returns the numbers from 0 on along one axis, the others of length 1."""
    others = [n for n in range(rank) if n != axis]
    return np.expand_dims(np.arange(length), others)
