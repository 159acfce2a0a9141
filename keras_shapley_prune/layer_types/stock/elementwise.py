"""Layers that treat every channel by itself: nothing but the channel count changes."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import FIXED


class PReLUType(DeclaredType):
    """A `PReLU`. Letter "a": the last axis of `alpha`."""

    def letters(self, call, ids):
        # Of length 1 if the channels share it.
        shared = call.operation.alpha.shape[-1] != len(ids["i"])
        return {"a": np.array([FIXED]) if shared else ids["i"]}


class RescalingType(DeclaredType):
    """A `Rescaling` by numbers, or by one for each channel."""

    def unfit(self, call):
        operation, width = call.operation, call.inputs[0].shape[-1]
        if keras.config.image_data_format() == "channels_first":
            width = 1  # an array is for the first axis then
        for value in (operation.scale, operation.offset):
            if np.ndim(value) > 1 or np.size(value) not in (1, width):
                return "has an array of constants that are not one a channel"
        return None

    def resize(self, config, kept):
        for name in ("scale", "offset"):
            # In the config an array is serialized.
            value = keras.saving.deserialize_keras_object(config[name])
            if np.size(value) > 1:
                config[name] = np.asarray(value)[kept["i"]].tolist()


def _noise_of_channels(call):
    # A last length of 1, or none, fits any number of channels.
    shape = call.operation.noise_shape
    return None if shape is None or shape[-1] in (None, 1) else "has a noise_shape"


LAYER_TYPES[layers.PReLU] = PReLUType(keep, weights={"alpha": "a"})
LAYER_TYPES[layers.Rescaling] = RescalingType(keep)
for name in "Dropout AlphaDropout".split():
    LAYER_TYPES[getattr(layers, name)] = DeclaredType(keep, unfit=_noise_of_channels)
for name in """Activation ReLU LeakyReLU ELU Identity SpatialDropout1D SpatialDropout2D
        SpatialDropout3D GaussianDropout GaussianNoise ActivityRegularization
        RepeatVector""".split():
    LAYER_TYPES[getattr(layers, name)] = DeclaredType(keep)
