"""Layers that treat every channel by itself: nothing but the channel count changes."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec
from keras_shapley_prune.layer_types.unit_ids import FIXED


def _noise_of_channels(call):
    shape = call.operation.noise_shape
    return None if shape is None or shape[-1] in (None, 1) else "has a noise_shape"


def _alpha_axis(call, ids):
    """Letter "a": the last axis of `alpha`, of length 1 if the channels share it."""
    shared = call.operation.alpha.shape[-1] != len(ids["i"])
    return {"a": np.array([FIXED]) if shared else ids["i"]}


def _constants_of_other_axes(call):
    """Constants have to be numbers, or one for each channel."""
    operation, width = call.operation, call.inputs[0].shape[-1]
    if keras.config.image_data_format() == "channels_first":
        width = 1  # an array is for the first axis then
    for value in (operation.scale, operation.offset):
        if np.ndim(value) > 1 or np.size(value) not in (1, width):
            return "has an array of constants that are not one a channel"
    return None


def _cut_constants(config, kept):
    for name in ("scale", "offset"):
        value = keras.saving.deserialize_keras_object(config[name])
        if np.size(value) > 1:
            config[name] = np.asarray(value)[kept["i"]].tolist()


SPECS[layers.PReLU] = LayerSpec(keep, weights={"alpha": "a"}, letters=_alpha_axis)
SPECS[layers.Rescaling] = LayerSpec(
    keep, size=_cut_constants, unfit=_constants_of_other_axes
)
for name in "Dropout AlphaDropout".split():
    SPECS[getattr(layers, name)] = LayerSpec(keep, unfit=_noise_of_channels)
for name in """Activation ReLU LeakyReLU ELU Identity SpatialDropout1D SpatialDropout2D
        SpatialDropout3D GaussianDropout GaussianNoise ActivityRegularization
        RepeatVector""".split():
    SPECS[getattr(layers, name)] = LayerSpec(keep)
