"""Rules: how calls are re-made where the axes of what they read come in another order.

Each is a function `fn(call, placed)` of a recorded `Call` and the `Placed` tensors it
reads, and returns a `Recipe`. `None` where the call has to read what it did before.
"""

import dataclasses
import functools

import keras
import numpy as np

from keras_shapley_prune.layer_types.layouts.orders import (
    arrange,
    channels_last,
    place_of,
    places_of,
    same_order,
    without_axes,
)
from keras_shapley_prune.layer_types.layouts.recipe import Recipe, same_rows
from keras_shapley_prune.layer_types.layouts.reshaping import reshape
from keras_shapley_prune.layer_types.layouts.trial import works_in_any_order
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.layer_types.stock.recreation import apply_activation


def in_format(call, placed, order=channels_last):
    """A layer or raw operation with a `data_format`: it gets the other one.

    Its kernels are the same in both. What it returns, of whatever rank, has its
    channels last, too.
    """
    is_one = len(placed) == 1 and placed[0].rank > 2
    if not is_one or find_data_format(call.operation) != "channels_first":
        return None
    if not _acts_in_any_order(call.operation, placed[0].rank):
        return None
    config = {"data_format": "channels_last"}
    recipe = Recipe((order(placed[0].rank),), _or_last(placed[0].rank, order), config)
    return recipe if order is not channels_last else _with_bias(call, recipe)


def _with_bias(call, recipe):
    """Returns the recipe of a layer whose bias Keras adds to another axis.

    Where the last axis, the width, is as long as there are channels, Keras's TensorFlow
    backend (3.15) takes a bias of channels_first for one of channels_last, and adds it
    along the width. The model was trained so: it has to remain so.
    """
    bias, shape = getattr(call.operation, "bias", None), call.outputs[0].shape
    if bias is None or len(shape) < 3 or bias.shape != shape[-1:]:
        return recipe
    lengths = [1] * len(shape)
    lengths[-2] = shape[-1]  # the width, before the channels
    taken_off = -keras.ops.convert_to_numpy(bias).reshape(lengths)
    activation = call.operation.activation
    # A difference, as Keras might take the array of a sum for a bias again.
    after = [lambda tensor: tensor - taken_off.astype(tensor.dtype)]
    if activation is not keras.activations.linear:
        after.append(functools.partial(apply_activation, activation))
    return dataclasses.replace(
        recipe,
        config={**recipe.config, "activation": "linear"},
        weights=lambda name, weight: weight * 0 if name == "bias" else weight,
        after=tuple(after),
    )


def over_time(call, placed):
    """The same for a layer that has an axis of time before the channels."""
    return in_format(call, placed, lambda rank: (0, 1, *range(3, rank), 2))


def _or_last(rank, order):
    """Returns the orders of outputs: of the input's rank as that, else the usual."""
    return lambda other: (order if other == rank else channels_last)(other)


def elementwise(call, placed):
    """What makes each number of that number alone: any order will do."""
    if len(placed) != 1 or _has_arrays(call):
        return None
    value = placed[0]
    if not _acts_in_any_order(call.operation, value.rank):
        return None
    return _any_order(value)


def by_trial(call, placed):
    """What nothing is known of: any order will do if it does on random numbers."""
    if len(placed) != 1 or placed[0].rows is not None or _has_arrays(call):
        return None
    if getattr(call.operation, "weights", ()) or call.args[:1] != call.inputs:
        return None
    value = placed[0]
    alike = len(call.outputs) == 1 and len(call.outputs[0].shape) == value.rank
    if not alike or not works_in_any_order(call.operation, value.shape, value.order):
        return None
    return _any_order(value)


def _any_order(value):
    return Recipe(
        (value.order,),
        lambda rank: value.order,
        rows=(value.rows,),
        rows_out=value.rows,
    )


def join(call, placed):
    """What makes each number of those at the same place of several tensors."""
    rank = len(call.outputs[0].shape)
    if any(value.rank != rank for value in placed):
        return None
    order, rows = _common(placed)
    if order is None or not _fit(placed, rows):
        return None
    # A tensor of one column is the same in any order of the columns.
    wanted = tuple(None if value.shape[-1] == 1 else rows for value in placed)
    constants = [x for x in _constants(call) if np.ndim(x)]
    if constants and rows is not None:
        return None
    return Recipe(
        (order,) * len(placed),
        lambda rank: order,
        rows=wanted,
        rows_out=rows,
        arguments=_arrange_constants(order) if constants else None,
    )


def _common(placed):
    """Returns the one order, and the one `rows`, that several tensors are brought to.

    The first that is not as before.
    """
    if not placed:
        return None, None
    orders = [p.order for p in placed if p.order != same_order(p.rank)]
    rows = [p.rows for p in placed if p.rows is not None]
    return (orders or [same_order(placed[0].rank)])[0], (rows or [None])[0]


def _fit(placed, rows):
    """Returns whether `rows` are those of all tensors that have more than a column."""
    others = [p.rows for p in placed if rows is not None and p.shape[-1] != 1]
    return all(same_rows(rows, other) for other in others)


def _arrange_constants(order):
    """Returns the function that brings the arrays among the arguments to an order."""

    def turn(value):
        if isinstance(value, keras.KerasTensor) or not np.ndim(value):
            return value
        value = np.asarray(value)
        lengths = (1,) * (len(order) - value.ndim) + value.shape
        return value.reshape(lengths).transpose(order)

    return lambda args, kwargs: keras.tree.map_structure(turn, (args, kwargs))


def along(call, placed):
    """What works along one axis or several, and keeps all of them."""
    if not placed or any(value.rank != placed[0].rank for value in placed):
        return None
    order, rows = _common(placed)
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
        return _any_order(placed[0])
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


def weighted_sum(call, placed):
    """A dense layer on a flattened tensor: the rows of its kernel are reordered."""
    if len(placed) != 1 or placed[0].rows is None:
        return None
    names = {weight.name for weight in call.operation.weights}
    if not names <= {"kernel", "bias"}:
        return None  # such as of a quantized layer
    rows = placed[0].rows
    return Recipe(
        (placed[0].order,),
        same_order,
        weights=lambda name, weight: weight[rows] if name == "kernel" else weight,
        rows=(rows,),
    )


def with_columns(recipe, rows):
    """Returns the recipe of a dense layer whose neurons are reordered, too.

    Args:
        recipe: The `Recipe` of its call.
        rows: See `Placed`: how the outputs are wanted.
    """

    def turn(name, weight):
        weight = weight if recipe.weights is None else recipe.weights(name, weight)
        return weight[..., rows]

    return dataclasses.replace(recipe, weights=turn, rows_out=rows)


def can_reorder_columns(operation):
    """Returns whether `with_columns` is right for a dense layer."""
    plain = {weight.name for weight in operation.weights} <= {"kernel", "bias"}
    return plain and _acts_in_any_order(operation, 2)


def with_slopes(call, placed):
    """A layer whose one weight has all axes but the examples', or 1 where shared."""
    if len(placed) != 1:
        return None
    (value,) = placed
    order, rows, shared = value.order, value.rows, call.operation.shared_axes
    if value.is_as_before:
        return None

    def turn(name, weight):
        if rows is not None:
            return weight[rows] if len(weight) > 1 else weight
        return weight.transpose([axis - 1 for axis in order[1:]])

    shared = [place_of(order, axis) for axis in shared] if shared else None
    return Recipe(
        (order,),
        lambda rank: order,
        {"shared_axes": shared},
        turn,
        rows=(rows,),
        rows_out=rows,
    )


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


def _constants(call):
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [x for x in leaves if not isinstance(x, keras.KerasTensor)]


def _has_arrays(call):
    """Returns whether a call, or its operation, holds an array of constants."""
    held = [x for x in vars(call.operation).values() if isinstance(x, np.ndarray)]
    return bool(held) or any(np.ndim(x) for x in _constants(call))


def _acts_in_any_order(operation, rank):
    """Returns whether the activation of a layer takes axes in any order."""
    activation = getattr(operation, "activation", None)
    if not callable(activation):
        return True
    if getattr(activation, "weights", ()):
        return False
    shape = (2, *range(3, 2 + rank))
    return works_in_any_order(activation, shape, channels_last(rank))
