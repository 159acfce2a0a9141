"""Rules of layers whose weights are reordered with what they read."""

import dataclasses

from keras_shapley_prune.layer_types.layouts.orders import place_of, same_order
from keras_shapley_prune.layer_types.layouts.recipe import Recipe
from keras_shapley_prune.layer_types.layouts.trial import acts_in_any_order


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
    return plain and acts_in_any_order(operation, 2)


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
