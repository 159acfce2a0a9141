"""Tests of reductions over the channels, as norms that are written by hand have."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune.trace.tracer import trace_channels


def root_mean_square(x):
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3)


def layer_norm(x):
    centered = x - ops.mean(x, -1, keepdims=True)
    return centered / ops.sqrt(ops.var(x, axis=-1, keepdims=True) + 1e-3)


def by_deviation(x):
    return x / (0.1 + ops.std(x, axis=(-1,), keepdims=True))


def normed_together(x):
    """Over positions and channels of one example."""
    return x / (0.1 + ops.std(x, axis=(1, 2, 3), keepdims=True))


def gated_by_extremes(x):
    gate = ops.concatenate([ops.max(x, -1, True), ops.min(x, -1, True)], axis=-1)
    return x * ops.sigmoid(layers.Conv2D(1, 3, padding="same")(gate))


def spatial_attention(x):
    """That of CBAM, without kept axes."""
    gate = ops.stack([ops.mean(x, axis=-1), ops.amax(x, axis=-1)], axis=-1)
    return x * ops.sigmoid(layers.Conv2D(1, 3, padding="same")(gate))


def unit_length(x):
    return x / (0.1 + ops.norm(x, axis=-1, keepdims=True))


def summed(x):
    return x + ops.expand_dims(ops.sum(x, axis=-1), -1) + ops.amin(x, 3, True)


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    "function",
    [
        root_mean_square,
        layer_norm,
        by_deviation,
        normed_together,
        gated_by_extremes,
        spatial_attention,
        unit_length,
        summed,
    ],
)
def test_masked_equals_pruned(function):
    inputs = keras.Input((5, 5, 3))
    x = function(layers.Conv2D(7, 3, padding="same", name="before")(inputs))
    x = layers.Dense(6, name="behind")(x)
    x = layers.GlobalAveragePooling2D()(function(x))
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    groups = {group.name for group in trace_channels(model).groups}
    assert groups >= {"before", "behind"}
    models.check_masks(model, tolerance=1e-4)


def test_over_all_examples_it_is_locked():
    inputs = keras.Input((3,))
    x = layers.Dense(4, name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x - ops.mean(x)))
    reason = trace_channels(model).lock_reasons()["before"]
    assert "works along the channels" in reason


def test_along_other_axes_channels_pass():
    inputs = keras.Input((5, 3))
    x = layers.Dense(4, name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.max(x, axis=1)))
    assert [group.name for group in trace_channels(model).groups] == ["before"]
    np.testing.assert_array_equal(list(trace_channels(model).locks), [4, 5])
