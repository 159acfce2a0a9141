"""Dense layers."""

from keras import layers

from keras_shapley_prune.flows import mix
from keras_shapley_prune.layer_specs import SPECS, LayerSpec
from keras_shapley_prune.linear_forms import DenseForm

SPECS[layers.Dense] = LayerSpec(
    mix, size="units", weights={"kernel": "io", "bias": "o"}, linear_form=DenseForm
)
