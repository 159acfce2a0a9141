"""The layers that `keras.applications` defines for its ConvNeXt models."""

import keras

from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec


def _find_layers():
    """Returns the classes, which Keras does not export, by their names."""
    module = keras.applications.ConvNeXtTiny.__globals__
    return {name: module.get(name) for name in ("LayerScale", "StochasticDepth")}


def _weights(operation):
    return [(operation.gamma, "i")]  # Keras gives the weight no name


def _resize(config, kept):
    config["projection_dim"] = int(kept["i"].sum())


_LAYERS = _find_layers()
if _LAYERS["LayerScale"] is not None:
    SPECS[_LAYERS["LayerScale"]] = LayerSpec(keep, size=_resize, weights=_weights)
if _LAYERS["StochasticDepth"] is not None:
    SPECS[_LAYERS["StochasticDepth"]] = LayerSpec(keep)
