"""The layer that `keras.applications` defines for its InceptionResNetV2."""

import keras

from keras_shapley_prune.layer_types.flows import join
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec
from keras_shapley_prune.layer_types.stock.constants import forbid_arrays

# Keras does not export the class: `x + scale * y`.
_LAYER = keras.applications.InceptionResNetV2.__globals__.get("CustomScaleLayer")
if _LAYER is not None:
    SPECS[_LAYER] = LayerSpec(join, unfit=forbid_arrays("scale"))
