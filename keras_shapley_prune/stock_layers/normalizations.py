"""Normalizations."""

from keras import layers

from keras_shapley_prune.flows import keep
from keras_shapley_prune.layer_specs import SPECS, LayerSpec


def _axis_not_last(call):
    axis, rank = call.operation.axis, len(call.inputs[0].shape)
    return None if axis in (-1, rank - 1) else f"normalizes axis {axis}"


SPECS[layers.BatchNormalization] = LayerSpec(
    keep,
    weights=dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), "i"),
    unfit=_axis_not_last,
)
