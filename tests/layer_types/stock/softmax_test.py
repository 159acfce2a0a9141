"""Tests of what a model's last operation makes of its outputs."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.rank.sampled.values import DivergenceValue
from keras_shapley_prune.trace.recording import record_graph


class Named(layers.Softmax):
    """A subclass that is not registered."""


def _model(last):
    inputs = keras.Input((3,))
    return keras.Model(inputs, last(inputs))


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (layers.Softmax(), "softmax"),
        (Named(), "softmax"),
        (layers.Activation("softmax"), "softmax"),
        (layers.Dense(3, activation="softmax"), "softmax"),
        (keras.ops.softmax, "softmax"),
        (keras.ops.sigmoid, "sigmoid"),
        (layers.Dense(3, activation="sigmoid"), "sigmoid"),
        (layers.Dense(3), "linear"),
        (keras.ops.tanh, None),
        (layers.ReLU(), None),
    ],
)
def test_the_activation_of_an_output(last, expected):
    call = record_graph(_model(last)).calls[-1]
    found = find_nearest_type(call.operation).output_activation(call.operation)
    assert found == expected


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_probabilities_are_read_alike_from_an_operation_and_from_a_layer(name):
    p, q = np.random.default_rng(0).uniform(0.1, 0.9, (2, 4, 3)).astype("float32")
    values = [
        DivergenceValue(_model(last))((), [q], None, [p])
        for last in (getattr(keras.ops, name), layers.Activation(name))
    ]
    np.testing.assert_array_equal(*values)
