"""Students: models of which half has been removed, and nothing repaired."""

import keras
import models
import numpy as np
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


def small():
    """A convolution, pooling, and a layer that reads what cannot be removed."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, name="inner")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    x = layers.Add(name="sum")([x, layers.Conv2D(6, 3, padding="same")(y)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU(name="last")(x))
    x = layers.Dense(3, activation="softmax", name="classes")(x)
    return keras.Model(inputs, x, name="small")


def halve(builder=small, layers=None, build=models.build):
    """Returns `(model, pruned)`: half the units removed, nothing repaired."""
    model = build(builder)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.select_groups(layers):
        keep[group.units[::2]] = False
    return model, remove_channels(model, keep, channel_map)
