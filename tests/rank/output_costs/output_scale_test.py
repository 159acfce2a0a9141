"""Tests of the scale on which errors of outputs add up."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.rank.output_costs.output_scale import OutputScale
from keras_shapley_prune.trace.recording import record_graph

ROWS = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")


def scaled(*heads):
    """Returns what becomes of the outputs of layers that read the same five numbers."""
    inputs = keras.Input((5,))
    graph = record_graph(keras.Model(inputs, [head(inputs) for head in heads]))
    values = graph.feed([keras.ops.convert_to_tensor(ROWS)])
    graph.run_between(values, 0, len(graph.calls))
    return [z.numpy() for z in OutputScale(graph, [ROWS])(values)]


@pytest.mark.parametrize(
    "head",
    [
        layers.Softmax(),
        layers.Activation("softmax"),
        keras.ops.softmax,
        layers.Dense(5, "softmax", kernel_initializer="identity"),
    ],
)
def test_probabilities_become_centred_logits(head):
    (found,) = scaled(head)
    expected = ROWS - ROWS.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("head", [layers.Activation("sigmoid"), keras.ops.sigmoid])
def test_independent_probabilities_become_logits(head):
    np.testing.assert_allclose(scaled(head)[0], ROWS, atol=1e-3)


@pytest.mark.parametrize("head", [layers.ReLU(), keras.ops.tanh, layers.Rescaling(3.0)])
def test_other_outputs_are_as_they_are(head):
    np.testing.assert_allclose(scaled(head)[0], head(ROWS), rtol=1e-6)


def test_several_outputs_have_the_same_spread():
    large, small, wide = scaled(
        layers.Rescaling(100.0), layers.Rescaling(0.01), layers.Softmax()
    )
    np.testing.assert_allclose(large, small, rtol=1e-4)
    assert large.std() == pytest.approx(1, rel=1e-4)
    assert wide.std() == pytest.approx(1, rel=1e-4)


def test_an_output_that_is_constant_stays_as_it_is():
    constant, other = scaled(layers.Rescaling(0.0, offset=3.0), layers.ReLU())
    np.testing.assert_array_equal(constant, np.full((20, 5), 3.0))
    assert other.std() == pytest.approx(1, rel=1e-4)


def test_class_numbers_are_left_out():
    (found,) = scaled(layers.ReLU(), lambda x: keras.ops.argmax(x, axis=-1))
    np.testing.assert_array_equal(found, np.maximum(ROWS, 0))  # the only one: as it is


def test_extreme_probabilities_are_finite():
    (found,) = scaled(layers.Dense(5, "softmax", kernel_initializer="ones"))
    assert np.isfinite(found).all()
    for name in ("softmax", "sigmoid"):
        inputs = keras.Input((3,))
        graph = record_graph(keras.Model(inputs, layers.Activation(name)(inputs)))
        rows = keras.ops.convert_to_tensor([[-1e4, 0.0, 1e4]])
        values = graph.feed([rows])
        graph.run_between(values, 0, len(graph.calls))
        (found,) = OutputScale(graph, [rows])(values)
        assert np.isfinite(found).all()
