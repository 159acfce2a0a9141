"""Tests of layers that do something else in training than in inference."""

import warnings

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune import to_functional
from keras_shapley_prune.trace.tracer import trace_channels


class DropPath(layers.Layer):
    """Stochastic depth, as it is written in many places."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        keep = 1 - self.rate
        noise = keras.random.uniform(shape, seed=self.seed_generator) + keep
        return inputs / keep * ops.floor(noise)


class ChannelDrop(layers.Layer):
    """Drops numbers one by one, without a seed of its own."""

    def call(self, inputs, training=False):
        if training:
            noise = keras.random.uniform(ops.shape(inputs)) < 0.75
            return inputs * ops.cast(noise, inputs.dtype) / 0.75
        return inputs


class Unscaled(layers.Layer):
    """Drops, but does not make up for it: no dropout."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        noise = keras.random.uniform((ops.shape(inputs)[0], 1, 1, 1))
        return inputs * ops.cast(noise < 0.75, inputs.dtype)


class Block(layers.Layer):
    """A branch, with a given layer called as it may be."""

    def __init__(self, inner, only_in_training, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(8, 1, name="conv")
        self.inner, self.only_in_training = inner, only_in_training

    def build(self, shape):
        self.conv.build(shape)

    def call(self, inputs, training=None):
        x = self.conv(layers.ReLU()(inputs))
        if training or not self.only_in_training:
            x = self.inner(x, training=training)
        return layers.Add()([inputs, x])


class Noisy(layers.Layer):
    """Computes what channels do not pass, with noise of its own in training."""

    def call(self, inputs, training=False):
        x = ops.relu(inputs)
        if training:
            x = x + keras.random.normal(ops.shape(x)) * ops.mean(x)
        return x * ops.mean(x, axis=-1, keepdims=True)


def surrounded(layer):
    inputs = keras.Input((6, 6, 3))
    x = layer(layers.Conv2D(8, 3, name="before")(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="after")(x)))


def check_same(model, functional):
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        functional(x, training=False), model(x, training=False), rtol=1e-4, atol=1e-5
    )


def layers_within(model):
    return [layer for layer in model._flatten_layers() if layer is not model]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("only_in_training", [True, False])
@pytest.mark.parametrize(
    "make, rate, noise_shape",
    [
        (lambda: layers.Dropout(0.4), 0.4, None),
        (lambda: DropPath(0.4), 0.4, (None, 1, 1, 1)),
        (lambda: DropPath(0.0), 0.0, (1, 1, 1, 1)),
        (ChannelDrop, 0.25, None),
    ],
)
def test_dropout_is_kept(make, rate, noise_shape, only_in_training):
    model = surrounded(Block(make(), only_in_training, name="block"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        functional = to_functional(model)
    check_same(model, functional)
    found = [x for x in layers_within(functional) if isinstance(x, layers.Dropout)]
    assert [layer.rate for layer in found] == [pytest.approx(rate, abs=1e-6)]
    shape = found[0].noise_shape
    assert (shape and tuple(shape)) == noise_shape
    assert {group.name for group in trace_channels(functional).groups} == {"before"}
    models.check_masks(functional, tolerance=1e-4)
    x = np.ones((64, 6, 6, 3), "float32")
    same = np.allclose(functional(x, training=True), functional(x, training=True))
    assert same == (rate == 0)


def test_the_seeds_of_a_layer_are_where_they_were():
    drop = DropPath(0.4, name="drop")
    before = drop.seed_generator.state.numpy()
    to_functional(surrounded(drop))
    np.testing.assert_array_equal(drop.seed_generator.state.numpy(), before)


@pytest.mark.parametrize("inner", [Unscaled, lambda: layers.GaussianNoise(0.5)])
def test_what_channels_pass_keeps_its_training(inner):
    layer = inner()
    model = surrounded(Block(layer, only_in_training=False, name="block"))
    functional = to_functional(model)
    check_same(model, functional)
    kinds = [type(x) for x in layers_within(functional)]
    assert type(layer) in kinds
    assert trace_channels(functional).groups


def test_what_is_lost_in_training_is_said():
    model = surrounded(Noisy(name="odd"))
    match = "took layers as they are in inference: 'odd', does more in training"
    with pytest.warns(UserWarning, match=match):
        functional = to_functional(model)
    check_same(model, functional)
    models.check_masks(functional, tolerance=1e-4)


class Branches(layers.Layer):
    """Convolutions that are summed, or fused into one, as a flag says."""

    def __init__(self, fused, **kwargs):
        super().__init__(**kwargs)
        self.fused = fused
        self.one = layers.Conv2D(8, 1, name="one")
        if not fused:
            self.norm = layers.BatchNormalization(name="norm")
            self.three = keras.Sequential(
                [
                    layers.Conv2D(8, 3, padding="same", use_bias=False),
                    layers.BatchNormalization(),
                ],
                name="three",
            )

    def build(self, shape):
        self.one.build(shape)
        if not self.fused:
            self.norm.build(shape)
            self.three.build(shape)

    def call(self, inputs, training=None):
        if self.fused:
            return self.one(inputs)
        x = layers.Add()([self.one(inputs), self.norm(inputs, training=training)])
        return layers.Add()([x, self.three(inputs, training=training)])


@pytest.mark.sweep(1)
@pytest.mark.parametrize("fused", [True, False])
def test_branches_of_a_convolution(fused):
    model = surrounded(Branches(fused, name="branches"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        functional = to_functional(model)
    check_same(model, functional)
    names = {"before", "branches/one"} if fused else {"before"}
    assert {group.name for group in trace_channels(functional).groups} == names
    models.check_masks(functional, tolerance=1e-4)
