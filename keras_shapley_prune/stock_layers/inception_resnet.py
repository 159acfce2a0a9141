"""The layer that `keras.applications` defines for its InceptionResNetV2."""

import keras

from keras_shapley_prune.flows import join
from keras_shapley_prune.layer_specs import SPECS, LayerSpec
from keras_shapley_prune.stock_layers.constants import forbid_arrays

# Keras does not export the class: `x + scale * y`.
_LAYER = keras.applications.InceptionResNetV2.__globals__.get("CustomScaleLayer")
if _LAYER is not None:
    SPECS[_LAYER] = LayerSpec(join, unfit=forbid_arrays("scale"))
