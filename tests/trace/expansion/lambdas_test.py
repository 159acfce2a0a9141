"""Tests of `to_functional` on `Lambda` layers."""

import warnings

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune import to_functional
from keras_shapley_prune.trace.tracer import trace_channels


def _divide_by_the_sum(x):
    return x / (ops.convert_to_tensor(1e-9) + ops.sum(x, axis=-1, keepdims=True))


def _l2_norm(x):
    return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)


def _rms_norm(x, epsilon):
    return x * ops.rsqrt(ops.mean(x * x, axis=-1, keepdims=True) + epsilon)


def _twice(x):
    return ops.concatenate([x, x], axis=-1)


def _subtract_mean_in_tensorflow(x):
    return x - tf.reduce_mean(x, axis=-1, keepdims=True)


def _between(layer):
    inputs = keras.Input((6,))
    x = layer(layers.Dense(8, "sigmoid", name="before")(inputs))
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="after")(x)))


def _check_same(model, functional):
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (_divide_by_the_sum, {}),
        (_l2_norm, {}),
        (_rms_norm, {"arguments": {"epsilon": 1e-6}}),
        (_twice, {"output_shape": (16,)}),
    ],
)
def test_what_is_written_in_keras_ops_is_expanded(function, options):
    model = _between(layers.Lambda(function, name="custom", **options))
    assert "before" in trace_channels(model).lock_reasons()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        functional = to_functional(model)
    assert isinstance(functional.get_layer("custom"), keras.Model)
    assert [g.name for g in trace_channels(functional).groups] == ["before"]
    _check_same(model, functional)
    models.check_masks(functional, tolerance=1e-4)


def test_what_channels_pass_as_it_is_is_not_touched():
    inputs = keras.Input((8,))
    swish = layers.Lambda(lambda x: x * ops.sigmoid(x), name="swish")
    nested = keras.Model(inputs, swish(inputs), name="nested")
    functional = to_functional(_between(nested))
    (same,) = [o for o in functional.get_layer("nested").layers if o.name == "swish"]
    assert isinstance(same, layers.Lambda) and same.function is swish.function


def test_within_a_nested_model():
    inner = keras.Sequential([keras.Input((8,)), layers.Lambda(_l2_norm)], name="inner")
    model = _between(inner)
    functional = to_functional(model)
    assert [g.name for g in trace_channels(functional).groups] == ["before"]
    _check_same(model, functional)


def test_a_function_of_tensorflow_that_mixes_channels_locks_them():
    model = _between(layers.Lambda(_subtract_mean_in_tensorflow, name="custom"))
    functional = to_functional(model)
    reason = trace_channels(functional).lock_reasons()["before"]
    assert "TensorFlowCall is not a known operation" in reason
    _check_same(model, functional)


class SavesMore(layers.Layer):
    """A table of positions that saves its length beside its weights."""

    def build(self, shape):
        self.table = self.add_weight(shape=(1, *shape[1:]), name="table")

    def call(self, inputs):
        return inputs + self.table

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["length"] = self.table.shape[1]


def test_what_saves_more_than_weights_is_expanded_after_a_trace_too():
    inputs = keras.Input((4, 6))
    x = SavesMore(name="positions")(layers.Dense(8, name="before")(inputs))
    x = layers.Dense(3)(layers.Flatten()(x))
    model = models.randomize(keras.Model(inputs, x))
    assert "saves variables" in trace_channels(model).lock_reasons()["before"]
    functional = to_functional(model)
    assert [g.name for g in trace_channels(functional).groups] == ["before"]
