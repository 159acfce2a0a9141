"""Tests of copies that int8 kernels take."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.latency.live_copies import copy_alive


def test_nothing_in_a_copy_is_zero_and_the_model_is_as_before():
    single = layers.Conv2D(1, 1, activation="relu")
    inputs = keras.Input((8, 8, 4))
    x = layers.ReLU()(layers.BatchNormalization()(single(inputs)))
    model = keras.Model(inputs, layers.Conv2D(1, 3, activation="relu")(x))
    for layer in model.layers:  # all that they return is 0
        layer.set_weights([-np.ones_like(weight) for weight in layer.get_weights()])
    before = model.get_weights()
    for seed in range(8):
        keras.utils.set_random_seed(seed)
        copy = copy_alive(model)
        outputs = copy(np.random.default_rng(seed).uniform(size=(4, 8, 8, 4)))
        assert float(keras.ops.max(outputs)) > 0
        assert copy.count_params() == model.count_params()
    assert all(map(np.array_equal, model.get_weights(), before))
