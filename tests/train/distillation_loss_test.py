"""Tests of the distance of a student's outputs from its teacher's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.train.distillation_loss import DistillationLoss, find_outputs

LOGITS = np.random.default_rng(0).normal(size=(2, 6, 4), scale=3).astype("float32")


def _softmax(logits):
    exponents = np.exp(logits.astype("float64"))
    return exponents / exponents.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_is_the_divergence_of_softened_outputs(temperature):
    teacher, student = (_softmax(logits / temperature) for logits in LOGITS)
    expected = np.sum(teacher * np.log(teacher / student), -1).mean() * temperature**2
    of_logits = DistillationLoss("logits", temperature)(*LOGITS)
    of_softmax = DistillationLoss("softmax", temperature)(*map(_softmax, LOGITS))
    assert float(of_logits) == pytest.approx(expected, rel=1e-4)
    assert float(of_softmax) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_binary_is_that_of_two_classes(temperature):
    teacher, student = LOGITS[..., :1]
    pairs = [np.concatenate([0 * one, one], -1) for one in (teacher, student)]
    expected = float(DistillationLoss("logits", temperature)(*pairs))
    binary = DistillationLoss("binary_logits", temperature)(teacher, student)
    likely = [1 / (1 + np.exp(-one)) for one in (teacher, student)]
    sigmoid = DistillationLoss("sigmoid", temperature)(*likely)
    assert float(binary) == pytest.approx(expected, rel=1e-4)
    assert float(sigmoid) == pytest.approx(expected, rel=1e-3)


def test_the_gradient_at_high_temperature_is_that_of_squared_logits():
    """Hinton et al., section 2.1: (z - v) / N, of logits with mean zero."""
    teacher, student = (tf.constant(z - z.mean(-1, keepdims=True)) for z in LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = DistillationLoss("logits", 1000.0)(teacher, student) * len(student)
    expected = (student - teacher) / 4
    np.testing.assert_allclose(tape.gradient(loss, student), expected, atol=0.02)


@pytest.mark.parametrize("outputs", ["softmax", "sigmoid"])
def test_sure_outputs_have_finite_losses_and_gradients(outputs):
    student = tf.constant([[1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = DistillationLoss(outputs, 3.0)(tf.constant([[0.0, 1.0]]), student)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, student)).all()


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
