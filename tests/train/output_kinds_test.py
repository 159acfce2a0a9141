"""Tests of finding out what the outputs of a model are."""

import keras
import pytest
from keras import layers

from keras_shapley_prune.train.output_kinds import find_outputs


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("sparse_categorical_crossentropy", "softmax"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), "logits"),
        (keras.losses.CategoricalCrossentropy(), "softmax"),
        ("categorical_crossentropy", "softmax"),
        (keras.losses.categorical_crossentropy, "softmax"),
        ("binary_crossentropy", "sigmoid"),
        (keras.losses.BinaryCrossentropy(from_logits=True), "binary_logits"),
        ("mse", "values"),
        ("mean_absolute_error", "values"),
        (keras.losses.Huber(), "values"),
    ],
)
def test_the_loss_tells_what_the_outputs_are(loss, expected):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", loss)
    assert find_outputs(model) == [expected]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_else_the_last_activation_does(activation):
    inside = layers.Dense(2, activation=activation)
    behind = layers.Activation(activation)
    for last in ([inside], [layers.Dense(2), behind]):
        assert find_outputs(keras.Sequential([keras.Input((3,)), *last])) == [
            activation
        ]
    softmax = keras.Sequential([keras.Input((3,)), layers.Softmax()])
    assert find_outputs(softmax) == ["softmax"]


def test_else_it_has_to_be_said():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="Received: None for output 'output'"):
        find_outputs(model)
    assert find_outputs(model, "logits") == ["logits"]
