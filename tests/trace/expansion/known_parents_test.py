"""Tests of subclasses that override `call` and compute what their parent computes."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune import to_functional
from keras_shapley_prune.trace.tracer import trace_channels


class CachedAttention(layers.MultiHeadAttention):
    """Takes a cache, which a model that is trained does not give."""

    def call(self, query, value, key=None, cache=None, training=None):
        if cache is not None:
            value = ops.concatenate([cache, value], axis=1)
        outputs, _ = self._compute_attention(
            self._query_dense(query),
            self._key_dense(value),
            self._value_dense(value),
            training=training,
        )
        return self._output_dense(outputs)


class Doubled(layers.Dense):
    """Computes something else."""

    def call(self, inputs, training=None):
        return 2 * ops.roll(super().call(inputs), 1, axis=-1)


class Block(layers.Layer):
    """Gives the attention what the parent's call has no argument for."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = CachedAttention(4, 3, name="attention")

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, inputs):
        return inputs + self.attention(inputs, inputs, cache=None)


def surrounded(layer, shape=(5, 3)):
    inputs = keras.Input(shape)
    x = layers.Dense(8, name="before")(inputs)
    return models.randomize(keras.Model(inputs, layers.Dense(2)(layer(x))))


def check_same(model, functional):
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("inside", [True, False])
def test_an_attention_with_a_cache_that_is_not_given(inside):
    layer = Block(name="block") if inside else CachedAttention(4, 3, name="attention")
    model = surrounded(layer if inside else lambda x: layer(x, x))
    functional = to_functional(model)
    check_same(model, functional)
    within = functional.get_layer("block") if inside else functional
    attention = within.get_layer("attention")
    assert type(attention) is layers.MultiHeadAttention
    assert {id(v) for v in attention.weights} <= {id(v) for v in model.weights}
    names = {group.name.split("/")[-1] for group in trace_channels(functional).groups}
    assert "heads" in names and "before" in names
    models.check_masks(functional, tolerance=1e-4)


def test_what_computes_something_else_is_not_its_parent():
    model = surrounded(Doubled(8, name="odd"))
    functional = to_functional(model)
    check_same(model, functional)
    assert type(functional.get_layer("odd")) is not layers.Dense
