"""The layers that `keras.applications` defines for models of its own."""

import keras

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import join, keep, pass_across
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.constants import forbid_arrays
from keras_shapley_prune.layer_types.unit_ids import count_kept


class LayerScaleType(DeclaredType):
    """`LayerScale` of ConvNeXt: a factor for each channel."""

    def weights(self, operation):
        return [(operation.gamma, "i")]  # Keras gives the weight no name

    def resize(self, config, kept):
        config["projection_dim"] = count_kept(kept["i"])

    def is_elementwise(self, operation):
        return False


def _register(builder, name, layer_type):
    """Registers a class, which Keras does not export, if the builder's module has it.

    Args:
        builder: A function of `keras.applications`.
        name: String, the class.
        layer_type: The `LayerType`.
    """
    layer_class = builder.__globals__.get(name)
    if layer_class is not None:
        LAYER_TYPES[layer_class] = layer_type


_register(
    keras.applications.ConvNeXtTiny,
    "LayerScale",
    LayerScaleType(keep, across=pass_across),
)
_register(
    keras.applications.ConvNeXtTiny,
    "StochasticDepth",
    DeclaredType(keep, across=pass_across),
)
_register(  # x + scale * y
    keras.applications.InceptionResNetV2,
    "CustomScaleLayer",
    DeclaredType(join, unfit=forbid_arrays("scale")),
)
