"""Rules of wrappers: the layer in them gets another order, and is wrapped again."""

import dataclasses

import keras

from keras_shapley_prune.layer_types.layouts.data_formats import over_time
from keras_shapley_prune.layer_types.layouts.orders import same_order
from keras_shapley_prune.layer_types.layouts.recipe import Placed, Recipe
from keras_shapley_prune.layer_types.stepwise.layer import at_steps
from keras_shapley_prune.layer_types.stepwise.one_step import step_of
from keras_shapley_prune.layer_types.stock.time_distributed import find_wrapped


def order_of_step(order):
    """Returns the order of a single time step, given that of a sequence.

    Args:
        order: Tuple, that of a tensor whose axis 1 is the time.

    Returns:
        A tuple, the order in which the sequence is wanted if its time is elsewhere.
    """
    if order[:2] != (0, 1):
        return same_order(len(order) - 1)
    return (0, *(axis - 1 for axis in order[2:]))


def order_of_sequence(order):
    """Returns the order of a sequence, given that of its steps."""
    return (0, 1, *(axis + 1 for axis in order[1:]))


def at_each_step(find_rule):
    """Returns the rule of a layer that is done at every time step: its own rule.

    Args:
        find_rule: Callable `fn(operation)` that returns the rule of an operation.
    """

    def rule(call, placed):
        wrapped = find_wrapped(call.operation)
        if wrapped is None or len(placed) != 1:
            return None
        step = step_of(dataclasses.replace(call, operation=at_steps(wrapped)))
        order = order_of_step(placed[0].order)
        recipe = find_rule(wrapped)(step, [Placed(step.inputs[0].shape, order)])
        return None if recipe is None else _for_all_steps(recipe)

    return rule


def _for_all_steps(recipe):
    """Returns the recipe of sequences that does to each step what another one does."""
    reordered = recipe.rows_out is not None or any(x is not None for x in recipe.rows)
    # Steps are not at hand for a function, and no rule expects rows of sequences.
    if reordered or recipe.function is not None or recipe.arguments is not None:
        return None
    return dataclasses.replace(
        recipe,
        orders=tuple(order_of_sequence(order) for order in recipe.orders),
        outputs=lambda rank: order_of_sequence(recipe.outputs(rank - 1)),
        config={"layer": recipe.config} if recipe.config else {},
    )


def both_directions(call, placed):
    """A `Bidirectional` convolutional LSTM.

    Keras puts both directions side by side along the last axis, which is the width: a
    layer behind it does so here.
    """
    layer = call.operation
    config = {"data_format": "channels_last"}
    changes = {"layer": config, "backward_layer": config}
    inner = dataclasses.replace(call, operation=layer.forward_layer)
    directions = layer.forward_layer, layer.backward_layer
    if any(getattr(one, "data_format", None) != "channels_first" for one in directions):
        return None
    recipe = over_time(inner, placed)
    if recipe is None or layer.return_state:
        return None
    after = ()
    if layer.merge_mode == "concat":
        changes["merge_mode"] = None
        after = (lambda both: keras.ops.concatenate(both, axis=-2),)
    return Recipe(recipe.orders, recipe.outputs, changes, after=after)
