"""Rules of layers with a `data_format`: they get the other one."""

import dataclasses
import functools

import keras

from keras_shapley_prune.layer_types.layouts.orders import channels_last
from keras_shapley_prune.layer_types.layouts.recipe import Recipe
from keras_shapley_prune.layer_types.layouts.trial import acts_in_any_order
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
    if not acts_in_any_order(call.operation, placed[0].rank):
        return None
    config = {"data_format": "channels_last"}
    recipe = Recipe((order(placed[0].rank),), _or_last(placed[0].rank, order), config)
    return recipe if order is not channels_last else _with_bias(call, recipe)


def over_time(call, placed):
    """The same for a layer that has an axis of time before the channels."""
    return in_format(call, placed, lambda rank: (0, 1, *range(3, rank), 2))


def _or_last(rank, order):
    """Returns the orders of outputs: of the input's rank as that, else the usual."""
    return lambda other: (order if other == rank else channels_last)(other)


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
