"""Orders of axes: where each axis of an original tensor stands in another one.

An order is a tuple, `order[k]` the axis of the original that is axis `k` here. Axis 0
are the examples, and always comes first.
"""

import numpy as np


def same_order(rank):
    """Returns the order of a tensor that is as in the original."""
    return tuple(range(rank))


def channels_last(rank):
    """Returns the order that puts the axis after the examples last."""
    return (0, *range(2, rank), *([1] if rank > 1 else []))


def place_of(order, axis):
    """Returns at which place an axis of the original stands.

    Args:
        order: Tuple, the order.
        axis: Integer, may be negative.
    """
    return order.index(axis % len(order))


def places_of(order, axes):
    """Returns the same for an integer, or a sequence of them (as a tuple)."""
    if np.ndim(axes) == 0:
        return place_of(order, int(axes))
    return tuple(place_of(order, int(axis)) for axis in axes)


def arrange(values, order):
    """Returns what belongs to each axis of the original, in another order."""
    return tuple(values[axis] for axis in order)


def steps_between(order, wanted):
    """Returns what a transposition has to be given to get from one order to another."""
    return tuple(order.index(axis) for axis in wanted)


def behind_transposition(order, axes):
    """Returns the order in which a tensor is the original's after a transposition.

    The tensor itself is not touched.

    Args:
        order: Tuple, the order before.
        axes: Sequence of integers, what the original's transposition is given.
    """
    # Axis j of the result is axis axes[j] of what it reads.
    return tuple(list(axes).index(axis) for axis in order)


def without_axes(order, removed):
    """Returns the order that is left once axes of the original are gone."""
    removed = {axis % len(order) for axis in removed}
    left = [axis for axis in order if axis not in removed]
    return tuple(sorted(left).index(axis) for axis in left)


def flat_rows(shape, order):
    """Returns where the entries of a flattened tensor stand in the original's.

    Args:
        shape: Tuple of integers, of the original tensor without the examples.
        order: Tuple, the order in which it is flattened here.

    Returns:
        Integer array: entry `k` here is entry `rows[k]` there. `None` if all are at
        their places.
    """
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    rows = places.transpose([axis - 1 for axis in order[1:]]).ravel()
    return None if (rows == np.arange(len(rows))).all() else rows
