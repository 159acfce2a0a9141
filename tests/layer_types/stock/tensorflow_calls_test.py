"""Tests of calls of TensorFlow's own functions in a graph of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune import to_functional
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.stock.tensorflow_calls import (
    calls_tensorflow,
    symbolic_tensorflow,
)
from keras_shapley_prune.trace.tracer import trace_channels


class Fusion(layers.Layer):
    """Resizes as the neck of DepthAnything does."""

    def __init__(self, resize, **kwargs):
        super().__init__(**kwargs)
        self.resize = resize
        self.first = layers.Conv2D(6, 3, padding="same", name="first")
        self.second = layers.Conv2D(5, 1, name="second")

    def call(self, inputs):
        return self.second(self.resize(ops.relu(self.first(inputs))))


def resize_aligned(x):
    return tf.compat.v1.image.resize(x, (8, 8), method="bilinear", align_corners=True)


def mix(x):
    return x - tf.reduce_mean(x, axis=-1, keepdims=True)


def build(resize):
    inputs = keras.Input((4, 4, 3))
    x = Fusion(resize, name="fusion")(layers.Conv2D(7, 3, name="stem")(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "resize", [resize_aligned, lambda x: tf.image.resize(x, (8, 8))]
)
def test_masked_equals_pruned_and_loaded(resize, tmp_path):
    model = to_functional(build(resize))
    assert calls_tensorflow(model)
    channel_map = trace_channels(model)
    assert sorted(group.num_units for group in channel_map.groups) == [5, 6, 7]
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[::2]] = False
    masked = mask_channels(model, keep, channel_map)
    pruned = remove_channels(model, keep, channel_map)
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(masked(x), pruned(x), rtol=1e-5, atol=1e-6)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    np.testing.assert_array_equal(loaded(x), pruned(x))


def test_what_mixes_channels_locks_them():
    channel_map = trace_channels(to_functional(build(mix)))
    assert sorted(group.num_units for group in channel_map.groups) == [5, 7]
    locked = [r for r in channel_map.locks.values() if r != "model output"]
    assert len(locked) == 6
    assert all("TensorFlowCall is not a known operation" in r for r in locked)


def test_outside_of_the_context_symbolic_tensors_are_refused():
    x = keras.Input((4,))
    with symbolic_tensorflow():
        assert tf.nn.relu(x).shape == (None, 4)
        np.testing.assert_array_equal(tf.nn.relu([-1.0, 1.0]), [0, 1])
    with pytest.raises(ValueError, match="KerasTensor"):
        tf.nn.relu(x)
