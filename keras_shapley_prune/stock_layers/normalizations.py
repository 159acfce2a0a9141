"""Normalizations."""

import numpy as np
from keras import layers

from keras_shapley_prune.flows import keep
from keras_shapley_prune.layer_specs import SPECS, LayerSpec


def _axis_not_last(call):
    axis, rank = call.operation.axis, len(call.inputs[0].shape)
    return None if axis in (-1, rank - 1) else f"normalizes axis {axis}"


def _tells_channels_apart(operation):
    """Returns whether a `Normalization` has statistics of each channel."""
    rank = len(operation.mean.shape)
    return rank - 1 in np.array(operation.axis, int) % rank


def _constants_of_other_axes(call):
    operation = call.operation
    given = operation.input_mean is not None and np.ndim(operation.input_mean)
    if given and not _tells_channels_apart(operation):
        return "has an array of constants that are not one a channel"
    return None


def _name_statistics_axes(operation):
    letter = "i" if _tells_channels_apart(operation) else "."
    letters = {"mean": letter, "variance": letter, "count": ""}
    return [(weight, letters.get(weight.name)) for weight in operation.weights]


def _cut_statistics(config, kept):
    for name in ("mean", "variance"):
        value = np.array(config[name])
        if value.ndim and value.shape[-1] == len(kept["i"]):
            config[name] = np.compress(kept["i"], value, axis=-1).tolist()


SPECS[layers.BatchNormalization] = LayerSpec(
    keep,
    weights=dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), "i"),
    unfit=_axis_not_last,
)
SPECS[layers.Normalization] = LayerSpec(
    keep,
    size=_cut_statistics,
    weights=_name_statistics_axes,
    unfit=_constants_of_other_axes,
)
