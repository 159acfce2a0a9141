"""Tests of where a constant that is added to a layer's output can go."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.bias_folding import (
    can_take_bias,
    ends_linear,
    find_affine,
    find_normalization,
)
from keras_shapley_prune.trace.recording import record_graph


def _record(tail, **arguments):
    """Records a convolution `conv` and what `tail` makes of its output."""
    inputs = keras.Input((6, 6, 3))
    conv = layers.Conv2D(4, 3, padding="same", name="conv", **arguments)
    model = keras.Model(inputs, tail(conv(inputs)))
    graph = record_graph(model)
    calls = [call for call in graph.calls if call.operation is conv]
    return graph, calls[0]


def _normalize(x, **arguments):
    return layers.ReLU()(layers.BatchNormalization(name="norm", **arguments)(x))


NO_BIAS = {"use_bias": False}


@pytest.mark.parametrize("axis", [-1, 3])
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_normalization_that_follows(axis, use_bias):
    graph, call = _record(lambda x: _normalize(x, axis=axis), use_bias=use_bias)
    found = find_normalization(graph, call)
    assert found.operation.name == "norm"
    assert found.inputs[0] is call.outputs[0]
    assert can_take_bias(graph, call)


def test_nothing_follows_that_normalizes():
    for use_bias in (True, False):
        graph, call = _record(layers.ReLU(), use_bias=use_bias)
        assert find_normalization(graph, call) is None
        assert can_take_bias(graph, call) == use_bias


def test_an_activation_is_in_the_way():
    graph, call = _record(_normalize, activation="relu", **NO_BIAS)
    assert find_normalization(graph, call) is None
    assert not can_take_bias(graph, call)
    graph, call = _record(_normalize, activation="linear", **NO_BIAS)
    assert find_normalization(graph, call) is not None


def test_an_activation_leaves_the_bias_in_place():
    graph, call = _record(_normalize, activation="relu")
    assert find_normalization(graph, call) is None
    assert can_take_bias(graph, call)


def test_a_layer_is_in_the_way():
    graph, call = _record(lambda x: _normalize(layers.ReLU()(x)), **NO_BIAS)
    assert find_normalization(graph, call) is None
    assert not can_take_bias(graph, call)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_normalization_over_another_axis(axis):
    graph, call = _record(lambda x: _normalize(x, axis=axis), **NO_BIAS)
    assert find_normalization(graph, call) is None
    assert not can_take_bias(graph, call)


def test_another_normalization():
    graph, call = _record(layers.LayerNormalization(), **NO_BIAS)
    assert find_normalization(graph, call) is None


def test_a_subclass_may_compute_something_else():
    class Halved(layers.BatchNormalization):
        def call(self, x, training=None, mask=None):
            return super().call(x / 2, training=training)

    graph, call = _record(Halved(), **NO_BIAS)
    assert find_normalization(graph, call) is None


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_convolution_that_is_called_twice(use_bias):
    inputs = keras.Input((6, 6, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="conv", use_bias=use_bias)
    norms = layers.BatchNormalization(), layers.BatchNormalization()
    x = norms[1](conv(norms[0](conv(inputs))))
    graph = record_graph(keras.Model(inputs, x))
    calls = [call for call in graph.calls if call.operation is conv]
    assert len(calls) == 2
    for call, norm in zip(calls, norms, strict=True):
        assert find_normalization(graph, call).operation is norm
        assert not can_take_bias(graph, call)


def test_a_normalization_that_is_called_twice():
    norm = layers.BatchNormalization()
    graph, call = _record(lambda x: norm(layers.ReLU()(norm(x))), **NO_BIAS)
    assert find_normalization(graph, call) is None
    assert not can_take_bias(graph, call)


@pytest.mark.parametrize("use_bias", [True, False])
def test_two_readers(use_bias):
    graph, call = _record(lambda x: layers.Add()([_normalize(x), x]), use_bias=use_bias)
    assert find_normalization(graph, call) is None
    assert can_take_bias(graph, call) == use_bias


@pytest.mark.parametrize("use_bias", [True, False])
def test_what_is_returned_by_the_model(use_bias):
    graph, call = _record(lambda x: [_normalize(x), x], use_bias=use_bias)
    assert find_normalization(graph, call) is None
    assert can_take_bias(graph, call) == use_bias
    graph, call = _record(lambda x: x, use_bias=use_bias)
    assert find_normalization(graph, call) is None


def test_a_dense_layer():
    inputs = keras.Input((5,))
    x = layers.Dense(4, use_bias=False, name="dense")(inputs)
    graph = record_graph(keras.Model(inputs, _normalize(x)))
    assert find_normalization(graph, graph.calls[0]).operation.name == "norm"


def test_on_the_models_of_the_other_tests():
    found = {}
    for builder in (models.chain, models.residual, models.shared):
        graph = record_graph(models.build(builder))
        for call in graph.calls:
            following = find_normalization(graph, call)
            if following is not None and hasattr(call.operation, "kernel"):
                found[builder.__name__, call.operation.name] = following.operation.name
    assert found == {("chain", "conv1"): "bn1"}


def test_which_layers_end_linear():
    assert ends_linear(layers.Conv2D(2, 1))
    assert ends_linear(layers.Dense(2, activation=None))
    assert ends_linear(layers.Dense(2, activation="linear"))
    assert ends_linear(layers.BatchNormalization())
    assert not ends_linear(layers.Dense(2, activation="relu"))
    assert not ends_linear(layers.Conv2D(2, 1, activation=layers.LeakyReLU()))
    assert not ends_linear(layers.Activation("tanh"))


@pytest.mark.parametrize("arguments", [{}, {"center": False}, {"scale": False}])
def test_what_a_normalization_does_to_each_channel(arguments):
    norm = layers.BatchNormalization(epsilon=0.1, **arguments)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    norm(x)
    models.randomize(norm)
    factors, shift = find_affine(norm)
    assert factors.dtype == shift.dtype == "float64"
    np.testing.assert_allclose(norm(x), x * factors + shift, atol=1e-6)
