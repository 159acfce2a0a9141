"""Layers that join branches or move channels."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.flows import concatenate, join, permute, reshape
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec
from keras_shapley_prune.layer_types.stock.constants import lock


def resize_target(name):
    """Returns the `size` of a reshape whose target is that entry of its config."""

    def size(config, kept):
        *leading, last = np.ravel(config[name]).tolist()
        resized = int(np.count_nonzero(kept["o"]))
        config[name] = (*leading, last if last == -1 else resized)

    return size


for name in "Add Subtract Multiply Average Maximum Minimum".split():
    SPECS[getattr(layers, name)] = LayerSpec(join)
SPECS[layers.Concatenate] = LayerSpec(concatenate)
SPECS[layers.Flatten] = LayerSpec(reshape)
SPECS[layers.Reshape] = LayerSpec(reshape, size=resize_target("target_shape"))
SPECS[layers.Permute] = LayerSpec(permute)
SPECS[layers.Dot] = lock("sums over the channels of two tensors")
