"""Layers that treat every channel by itself: nothing but the channel count changes."""

from keras import layers

from keras_shapley_prune.flows import keep
from keras_shapley_prune.layer_specs import SPECS, LayerSpec
from keras_shapley_prune.stock_layers.constants import forbid_arrays


def _noise_of_channels(call):
    shape = call.operation.noise_shape
    return None if shape is None or shape[-1] in (None, 1) else "has a noise_shape"


def _shared_channel_axis(call):
    alpha, shape = call.operation.alpha, call.inputs[0].shape
    return None if alpha.shape[-1] == shape[-1] else "shares alpha over the channels"


SPECS[layers.PReLU] = LayerSpec(
    keep, weights={"alpha": "i"}, unfit=_shared_channel_axis
)
SPECS[layers.Rescaling] = LayerSpec(keep, unfit=forbid_arrays("scale", "offset"))
SPECS[layers.Dropout] = LayerSpec(keep, unfit=_noise_of_channels)
for name in """Activation ReLU LeakyReLU ELU Identity SpatialDropout2D GaussianDropout
        GaussianNoise ActivityRegularization MaxPooling2D AveragePooling2D
        GlobalMaxPooling2D GlobalAveragePooling2D ZeroPadding2D Cropping2D
        UpSampling2D""".split():
    SPECS[getattr(layers, name)] = LayerSpec(keep)
