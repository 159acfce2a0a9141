"""A model under a mask that can be changed: all units in one variable."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.layer_types.masked_calls import Mask


class MaskedNetwork(keras.Model):
    """The network of `mask_channels` for any number of selections of units.

    `mask_channels` writes one selection into a model of many masks. Here there is one
    variable for all units: what is compiled once is evaluated under one selection
    after the other, without being traced again.

    Args:
        model: A built Sequential or functional `keras.Model`. It shares its weights,
            and is compiled like it.
        channel_map: The `ChannelMap` of `model`.
    """

    def __init__(self, model, channel_map):
        super().__init__(name=f"masked_{model.name}")
        size = channel_map.num_units
        self._keep = self.add_weight(
            shape=(size,), initializer="ones", trainable=False, name="keep"
        )
        self._channel_map = channel_map
        compile_with(self, copy_compile_config(model))

    def select(self, keep):
        """Masks all units but some.

        Args:
            keep: Boolean array, shape `(num_units,)`, the units that are there.
        """
        self._keep.assign(np.asarray(keep, "float32"))

    def call(self, inputs, training=None):
        channel_map, graph = self._channel_map, self._channel_map.graph
        keep = tf.concat([self._keep, [1.0]], axis=0)  # the last one is no unit
        size = channel_map.num_units + 1

        def find_masks(call):
            found = channel_map.sites_at(call).items()
            # FIXED, which is -1, becomes the last place: that of no unit.
            return {place: Mask(tf.gather(keep, ids % size)) for place, ids in found}

        return graph.run(inputs, find_masks)
