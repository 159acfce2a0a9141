"""Tests of two runs that draw the same: of the masked and of the pruned network."""

import functools

import keras
import models
import noisy_models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.trace.tracer import trace_channels

SOURCES = ["own", "keras", "tensorflow"]


@pytest.fixture
def noise_keeps_channels(monkeypatch):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    register_layer(noisy_models.Noise, flow="keep")


def _cut(model):
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    images = np.random.default_rng(0).random((6, 8, 8, 1)).astype("float32")
    return remove_channels(model, keep, channel_map), keep, images


@pytest.mark.sweep(1)
@pytest.mark.parametrize("source", SOURCES)
def test_a_layer_that_draws_between_others(source):
    model = noisy_models.autoencoder(noisy_models.Sampling(source))
    pruned, keep, images = _cut(model)
    for _ in range(3):  # the seeds of both move on, not by the same number of draws
        pruned(images)
    model(images)
    verify_removal(model, pruned, keep, images)
    kernel = pruned.get_layer("decoder").kernel  # behind the draw
    kernel.assign(kernel * 1.01)
    with pytest.raises(RuntimeError, match="that differ by up to"):
        verify_removal(model, pruned, keep, images)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("source", SOURCES)
def test_noise_on_channels_that_are_removed(source, noise_keeps_channels):
    model = noisy_models.classifier(noisy_models.Noise(source))
    assert "first" in [g.name for g in trace_channels(model).groups]
    pruned, keep, images = _cut(model)
    verify_removal(model, pruned, keep, images)
    bias = pruned.get_layer("second").bias
    bias.assign(bias + 1)
    with pytest.raises(RuntimeError, match="that differ by up to"):
        verify_removal(model, pruned, keep, images)


def test_two_layers_draw_from_one_generator():
    first, second = (noisy_models.Noise("keras") for _ in range(2))
    model = noisy_models.classifier(first, layers.Conv2D(6, 1), second)
    pruned, keep, images = _cut(model)
    verify_removal(model, pruned, keep, images)


def test_a_copy_that_draws_otherwise_is_found(monkeypatch):
    class Quieter(noisy_models.Noise):
        factor = 1.0

        def draw(self, shape):
            return self.factor * super().draw(shape)

        @classmethod
        def from_config(cls, config):
            copied = cls(**config)
            copied.factor = 0.5  # what its config does not say
            return copied

    model = noisy_models.classifier(Quieter())
    pruned, keep, images = _cut(model)
    with pytest.raises(RuntimeError, match="that differ by up to"):
        verify_removal(model, pruned, keep, images)


def test_a_recurrent_layer_goes_on_from_its_state():
    model = noisy_models.stateful()
    steps = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    model(steps)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    pruned = remove_channels(model, keep, channel_map)
    state = model.get_layer("lstm").states[0].numpy()
    np.testing.assert_array_equal(pruned.get_layer("lstm").states[0], state)
    pruned(steps)
    verify_removal(model, pruned, keep, steps)
    np.testing.assert_array_equal(model.get_layer("lstm").states[0], state)


def test_the_check_moves_nothing_on():
    builders = functools.partial(noisy_models.Sampling, "own"), noisy_models.Counter
    for make in builders:
        layer = make()
        is_counter = isinstance(layer, noisy_models.Counter)
        builder = noisy_models.classifier if is_counter else noisy_models.autoencoder
        model = builder(layer)
        pruned, keep, images = _cut(model)
        before = [noisy_models.states_of(m) for m in (model, pruned)]
        verify_removal(model, pruned, keep, images)
        after = [noisy_models.states_of(m) for m in (model, pruned)]
        keras.tree.map_structure(np.testing.assert_array_equal, before, after)
