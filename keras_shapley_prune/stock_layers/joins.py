"""Layers that join branches or move channels."""

import numpy as np
from keras import layers

from keras_shapley_prune.flows import concatenate, join, reshape
from keras_shapley_prune.layer_specs import SPECS, LayerSpec


def _resize_target(config, kept):
    *leading, last = config["target_shape"]
    size = int(np.count_nonzero(kept["o"]))
    config["target_shape"] = (*leading, last if last == -1 else size)


for name in "Add Subtract Multiply Average Maximum Minimum".split():
    SPECS[getattr(layers, name)] = LayerSpec(join)
SPECS[layers.Concatenate] = LayerSpec(concatenate)
SPECS[layers.Flatten] = LayerSpec(reshape)
SPECS[layers.Reshape] = LayerSpec(reshape, size=_resize_target)
