"""Layers that treat every channel by itself: nothing but the channel count changes."""

import math

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.elementwise_activations import find_ceiling
from keras_shapley_prune.layer_types.flows import keep, pass_across
from keras_shapley_prune.layer_types.registry import LAYER_TYPES, OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import forbid_arrays
from keras_shapley_prune.layer_types.unit_ids import FIXED


class PReLUType(DeclaredType):
    """A `PReLU`. Letter "a": the last axis of `alpha`."""

    def letters(self, call, ids):
        # Of length 1 if the channels share it.
        shared = call.operation.alpha.shape[-1] != len(ids["i"])
        return {"a": np.array([FIXED]) if shared else ids["i"]}


class DropoutType(DeclaredType):
    """A dropout, of each number by itself unless it has a `noise_shape`."""

    def flow_across(self, call, channels):
        if getattr(call.operation, "noise_shape", None) is not None:
            return super().flow_across(call, channels)
        return pass_across(call, channels)


class RescalingType(DeclaredType):
    """A `Rescaling` by numbers, or by one for each channel."""

    def unfit(self, call):
        operation, width = call.operation, call.inputs[0].shape[-1]
        if keras.config.image_data_format() == "channels_first":
            width = 1  # an array is for the first axis then
        for value in (operation.scale, operation.offset):
            if np.ndim(value) > 1 or np.size(value) not in (1, width):
                return (
                    "has an array of constants that is not one number for each channel"
                )
        return None

    def resize(self, config, kept):
        for name in ("scale", "offset"):
            # In the config an array is serialized.
            value = keras.saving.deserialize_keras_object(config[name])
            if np.size(value) > 1:
                config[name] = np.asarray(value)[kept["i"]].tolist()


class ReLUType(DeclaredType):
    """A `ReLU`, also one that is leaky, has a threshold or a limit."""

    def relu_ceiling(self, operation):
        if operation.negative_slope or operation.threshold:
            return None
        limit = math.inf if operation.max_value is None else operation.max_value
        return float(limit) if limit > 0 else None


class ActivationType(DeclaredType):
    """An `Activation` by a function or a layer."""

    def relu_ceiling(self, operation):
        return find_ceiling(operation.activation)


def _noise_of_channels(call):
    # A last length of 1, or none, fits any number of channels.
    shape = call.operation.noise_shape
    fits = shape is None or shape[-1] in (None, 1)
    return None if fits else f"has a noise_shape for {shape[-1]} channels"


LAYER_TYPES[layers.PReLU] = PReLUType(keep, weights={"alpha": "a"})
LAYER_TYPES[layers.Rescaling] = RescalingType(keep, across=pass_across)
for name in "Dropout AlphaDropout".split():
    LAYER_TYPES[getattr(layers, name)] = DropoutType(keep, unfit=_noise_of_channels)
LAYER_TYPES[layers.ReLU] = ReLUType(keep, across=pass_across)
# What `keras.activations.relu(x)` is in a graph has the settings of the layer.
OPERATION_TYPES["ReLU"] = ReLUType(
    keep,
    unfit=forbid_arrays("negative_slope", "max_value", "threshold"),
    across=pass_across,
)
LAYER_TYPES[layers.Activation] = ActivationType(keep, across=pass_across)
for name in """LeakyReLU ELU Identity SpatialDropout1D SpatialDropout2D
        SpatialDropout3D GaussianDropout GaussianNoise
        ActivityRegularization""".split():
    LAYER_TYPES[getattr(layers, name)] = DeclaredType(keep, across=pass_across)
LAYER_TYPES[layers.RepeatVector] = DeclaredType(keep)
