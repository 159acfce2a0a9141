"""Rules of what works along axes, which are named by their new places."""

import numpy as np

from keras_shapley_prune.layer_types.layouts.any_order import find_common, in_any_order
from keras_shapley_prune.layer_types.layouts.orders import (
    arrange,
    places_of,
    same_order,
    without_axes,
)
from keras_shapley_prune.layer_types.layouts.recipe import Recipe
from keras_shapley_prune.layer_types.layouts.reshaping import reshape


def along(call, placed):
    """What works along one axis or several, and keeps all of them."""
    if not placed or any(value.rank != placed[0].rank for value in placed):
        return None
    order, rows = find_common(placed)
    axis = getattr(call.operation, "axis", None)
    if axis is None or rows is not None:
        return None
    config = _with_axis(axis, order)
    return Recipe((order,) * len(placed), lambda rank: order, config)


def _with_axis(axis, order):
    """Returns the change of a config by which an axis is found in another order."""
    places = places_of(order, axis)
    if order == same_order(len(order)):
        return {}  # a negative axis may be as negative as before
    return {"axis": list(places) if isinstance(axis, list) else places}


def concatenate(call, placed):
    """Tensors side by side along an axis; flattened ones each in its own order."""
    if all(value.rows is None for value in placed):
        return along(call, placed)
    if call.operation.axis % placed[0].rank != 1:
        return None
    parts, start = [], 0
    for value in placed:
        width = value.shape[-1]
        own = np.arange(width) if value.rows is None else value.rows
        parts.append(start + own)
        start += width
    return Recipe(
        tuple(value.order for value in placed),
        same_order,
        rows=tuple(value.rows for value in placed),
        rows_out=np.concatenate(parts),
    )


def softmax(call, placed):
    """A softmax, or a norm: the entries of a flattened tensor may have any order."""
    if len(placed) == 1 and placed[0].rows is not None:
        return in_any_order(placed[0])
    return along(call, placed)


def normalization(call, placed):
    """A normalization along one axis, with weights of that axis."""
    if len(placed) != 1 or np.size(call.operation.axis) != 1:
        return None
    value = placed[0]
    if getattr(call.operation, "input_mean", None) is not None:
        return None  # constants that are shaped for the axes as they were
    if value.rows is None:
        return along(call, placed)
    rows = value.rows
    return Recipe(
        (value.order,),
        same_order,
        weights=lambda name, weight: weight[rows] if weight.ndim else weight,
        rows=(rows,),
        rows_out=rows,
    )


def reduction(call, placed):
    """What reduces axes, and removes them unless it keeps their places."""
    if len(placed) != 1 or placed[0].rows is not None:
        return None
    value, axis = placed[0], call.operation.axis
    if axis is None:  # all of them
        return Recipe((value.order,), same_order)
    keepdims = getattr(call.operation, "keepdims", False)
    left = value.order
    if not keepdims:
        left = without_axes(value.order, np.atleast_1d(axis))
    return Recipe((value.order,), lambda rank: left, _with_axis(axis, value.order))


def subscript(call, placed):
    """A subscript of slices and integers, axis by axis; `None` adds an axis behind."""
    if len(placed) != 1 or placed[0].rows is not None:
        return None
    key = (*call.args, *call.kwargs.values())[-1]
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if key == [slice(None)] * placed[0].rank + [None] * (len(key) - placed[0].rank):
        return reshape(call, placed)
    order = placed[0].order
    plain = all(entry is Ellipsis or isinstance(entry, (int, slice)) for entry in key)
    if not plain or placed[0].is_as_before:
        return None
    if Ellipsis not in key:
        key.append(Ellipsis)
    place = key.index(Ellipsis)
    missing = [slice(None)] * (len(order) - len(key) + 1)
    key = key[:place] + missing + key[place + 1 :]
    left = without_axes(order, [a for a, e in enumerate(key) if isinstance(e, int)])
    moved = arrange(key, order)
    return Recipe(
        (order,),
        lambda rank: left,
        arguments=lambda args, kwargs: (((*args, *kwargs.values())[0], moved), {}),
    )
