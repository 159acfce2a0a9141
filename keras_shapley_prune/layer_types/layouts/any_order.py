"""Rules of what treats each number, or each place, by itself: any order will do."""

import keras
import numpy as np

from keras_shapley_prune.layer_types.layouts.orders import same_order
from keras_shapley_prune.layer_types.layouts.recipe import Recipe, same_rows
from keras_shapley_prune.layer_types.layouts.trial import (
    acts_in_any_order,
    works_in_any_order,
)


def elementwise(call, placed):
    """What makes each number of that number alone: any order will do."""
    if len(placed) != 1 or _has_arrays(call):
        return None
    value = placed[0]
    if not acts_in_any_order(call.operation, value.rank):
        return None
    return in_any_order(value)


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
    return in_any_order(value)


def in_any_order(value):
    """Returns the recipe of a call that reads one tensor as it comes.

    Args:
        value: The `Placed` tensor.
    """
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
    order, rows = find_common(placed)
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


def find_common(placed):
    """Returns the one order, and the one `rows`, that several tensors are brought to.

    The first that is not as before.

    Args:
        placed: List of `Placed` tensors of one rank.
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


def _has_arrays(call):
    """Returns whether a call, or its operation, holds an array of constants."""
    held = [x for x in vars(call.operation).values() if isinstance(x, np.ndarray)]
    return bool(held) or any(np.ndim(x) for x in _constants(call))


def _constants(call):
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [x for x in leaves if not isinstance(x, keras.KerasTensor)]
