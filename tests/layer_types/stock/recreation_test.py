"""Tests of how single layers are made anew."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.stock.recreation import read_config, recreate_layer


def _bent(x):
    return tf.where(x > 0, x, 0.3 * x)


FUNCTIONS = {
    "own": _bent,
    "lambda": lambda x: 2 * x,
    "partial": functools.partial(keras.activations.leaky_relu, negative_slope=0.7),
    "of tf": tf.nn.leaky_relu,
}
LAYERS = {
    "Dense": lambda function: layers.Dense(4, activation=function),
    "Activation": lambda function: layers.Activation(function),
    "LSTM": lambda function: layers.LSTM(4, activation=function),
    "Lambda": lambda function: layers.Lambda(function),
    "within": lambda function: layers.TimeDistributed(
        layers.Dense(4, activation=function)
    ),
    "twice within": lambda function: layers.TimeDistributed(
        layers.TimeDistributed(layers.Dense(4, activation=function))
    ),
}


@pytest.mark.sweep(6)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", LAYERS)
def test_functions_are_handed_over(kind, name):
    layer = LAYERS[kind](FUNCTIONS[name])
    shape = (2, 3, 5, 3) if kind == "twice within" else (2, 5, 3)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = layer(x)
    copied = recreate_layer(layer, read_config(layer))
    copied(x)
    copied.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copied(x), expected)
    innermost = [*layer._flatten_layers()][-1], [*copied._flatten_layers()][-1]
    ours, theirs = (
        getattr(each, "function", getattr(each, "activation", None))
        for each in innermost
    )
    assert ours is theirs is FUNCTIONS[name]


def test_shapes_of_a_lambda_are_kept():
    layer = layers.Lambda(lambda x: x, output_shape=(5, 3), arguments={})
    copied = recreate_layer(layer, read_config(layer))
    assert copied.compute_output_shape((None, 5, 3)) == (None, 5, 3)


class _Scaled(layers.Layer):
    """It keeps a weight where it took a number, as D-FINE's decoder does."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape):
        start = keras.initializers.Constant(self.scale)
        self.scale = self.add_weight(shape=(1,), initializer=start)

    def call(self, inputs):
        return inputs * self.scale

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def test_a_config_that_holds_a_weight():
    layer = _Scaled(0.5)
    x = np.ones((2, 3), "float32")
    layer(x)
    layer.scale.assign([2.0])
    copy = recreate_layer(layer, read_config(layer))
    copy(x)
    assert len(copy.weights) == 1
    assert copy.scale is not layer.scale
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x), layer(x))
