"""Tests of the distance of a student's outputs from its teacher's."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.train.divergence import Divergence

LOGITS = np.random.default_rng(0).normal(size=(2, 6, 4), scale=3).astype("float32")


def _softmax(logits):
    exponents = np.exp(logits.astype("float64"))
    return exponents / exponents.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_is_the_divergence_of_softened_outputs(temperature):
    teacher, student = (_softmax(logits / temperature) for logits in LOGITS)
    expected = np.sum(teacher * np.log(teacher / student), -1).mean() * temperature**2
    of_logits = Divergence("logits", temperature)(*LOGITS)
    of_softmax = Divergence("softmax", temperature)(*map(_softmax, LOGITS))
    assert float(of_logits) == pytest.approx(expected, rel=1e-4)
    assert float(of_softmax) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_binary_is_that_of_two_classes(temperature):
    teacher, student = LOGITS[..., :1]
    pairs = [np.concatenate([0 * one, one], -1) for one in (teacher, student)]
    expected = float(Divergence("logits", temperature)(*pairs))
    binary = Divergence("binary_logits", temperature)(teacher, student)
    likely = [1 / (1 + np.exp(-one)) for one in (teacher, student)]
    sigmoid = Divergence("sigmoid", temperature)(*likely)
    assert float(binary) == pytest.approx(expected, rel=1e-4)
    assert float(sigmoid) == pytest.approx(expected, rel=1e-3)


def test_the_gradient_at_high_temperature_is_that_of_squared_logits():
    """Hinton et al., section 2.1: (z - v) / N, of logits with mean zero."""
    teacher, student = (tf.constant(z - z.mean(-1, keepdims=True)) for z in LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = Divergence("logits", 1000.0)(teacher, student) * len(student)
    expected = (student - teacher) / 4
    np.testing.assert_allclose(tape.gradient(loss, student), expected, atol=0.02)


@pytest.mark.parametrize("outputs", ["softmax", "sigmoid"])
def test_sure_outputs_have_finite_losses_and_gradients(outputs):
    student = tf.constant([[1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = Divergence(outputs, 3.0)(tf.constant([[0.0, 1.0]]), student)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, student)).all()
