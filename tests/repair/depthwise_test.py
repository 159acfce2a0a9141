import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.repair import depthwise
from keras_shapley_prune.repair.depthwise import (
    apply_depthwise,
    fit_scales,
    is_depthwise,
)
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.tracer import trace_channels

FACTORS = np.array([0.5, 3.0, 1.0, 0.1], "float32")


OTHERS = [
    (layers.DepthwiseConv1D(3, depth_multiplier=2), (9, 4)),
    (layers.DepthwiseConv1D(2, strides=2, padding="same"), (9, 4)),
    (layers.Conv1D(8, 3, groups=4, padding="causal"), (9, 4)),
    (layers.Conv2D(4, 3, groups=4, padding="same"), (7, 6, 4)),
    (layers.Conv3D(8, 2, groups=4, use_bias=False), (5, 4, 3, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), OTHERS)
def test_other_layers_that_keep_channels_apart(monkeypatch, layer, shape):
    monkeypatch.setattr(depthwise, "RIDGE", 1e-8)
    images = np.random.default_rng(0).normal(size=(8, *shape), loc=0.5)
    images = images.astype("float32")
    target = layer(images)
    assert is_depthwise(layer)
    np.testing.assert_allclose(
        apply_depthwise(layer, images, bias=True), target, atol=1e-5
    )
    outputs = apply_depthwise(layer, images * FACTORS)
    bias = fit_scales(layer, [(outputs, target)], can_shift=True)
    repaired = apply_depthwise(layer, images * FACTORS) + bias
    np.testing.assert_allclose(repaired, target, atol=1e-3)


def test_what_mixes_channels_is_not_depthwise():
    for layer in (layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2), layers.Dense(4)):
        layer(np.zeros((1, 7, 6, 4), "float32"))
        assert not is_depthwise(layer)


def build_depthwise(**arguments):
    """Returns a layer and images for it."""
    keras.utils.set_random_seed(0)
    layer = layers.DepthwiseConv2D(3, bias_initializer="normal", **arguments)
    images = np.random.default_rng(0).normal(size=(8, 7, 6, 4), loc=0.5)
    layer(images)
    return layer, tf.constant(images, tf.float32)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"padding": "same", "strides": 2},
        {"dilation_rate": 2, "depth_multiplier": 2},
        {"use_bias": False, "depth_multiplier": 3},
    ],
)
def test_apply_is_the_layer_without_activation(arguments):
    layer, images = build_depthwise(**arguments)
    expected = layer(images)
    layer.activation = keras.activations.relu
    np.testing.assert_allclose(
        apply_depthwise(layer, images, True), expected, atol=1e-5
    )
    bias = layer.bias if layer.use_bias else 0.0
    without = apply_depthwise(layer, images)
    np.testing.assert_allclose(without, expected - bias, atol=1e-5)


@pytest.mark.parametrize("can_shift", [True, False])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_scaled_input_is_undone(monkeypatch, multiplier, can_shift):
    monkeypatch.setattr(depthwise, "RIDGE", 1e-8)
    layer, images = build_depthwise(depth_multiplier=multiplier, use_bias=can_shift)
    target = apply_depthwise(layer, images, bias=True)
    kernel = layer.kernel.numpy()
    outputs = apply_depthwise(layer, images * FACTORS)
    bias = fit_scales(layer, [(outputs, target)], can_shift)
    np.testing.assert_allclose(
        layer.kernel, kernel / FACTORS[:, np.newaxis], rtol=1e-3, atol=1e-5
    )
    repaired = apply_depthwise(layer, images * FACTORS) + (bias if can_shift else 0.0)
    np.testing.assert_allclose(repaired, target, atol=1e-3)


def test_a_shifted_input_is_undone_by_the_bias(monkeypatch):
    monkeypatch.setattr(depthwise, "RIDGE", 1e-8)
    layer, images = build_depthwise()
    target = apply_depthwise(layer, images, bias=True)
    kernel = layer.kernel.numpy()
    bias = fit_scales(layer, [(apply_depthwise(layer, images - 2), target)], True)
    np.testing.assert_allclose(layer.kernel, kernel, rtol=1e-3, atol=1e-5)
    repaired = apply_depthwise(layer, images - 2) + bias
    np.testing.assert_allclose(repaired, target, atol=1e-3)


def test_batches_add_up():
    results = []
    for split in (1, 2, 8):
        layer, images = build_depthwise()
        target = apply_depthwise(layer, images, bias=True)
        outputs = apply_depthwise(layer, images * FACTORS + 1)
        pairs = zip(tf.split(outputs, split), tf.split(target, split), strict=True)
        results.append((fit_scales(layer, pairs, True), layer.kernel.numpy()))
    for bias, kernel in results[1:]:
        np.testing.assert_allclose(bias, results[0][0], atol=1e-5)
        np.testing.assert_allclose(kernel, results[0][1], atol=1e-5)


def test_what_fits_already_stays():
    layer, images = build_depthwise()
    kernel, old_bias = layer.kernel.numpy(), layer.bias.numpy()
    target = apply_depthwise(layer, images, bias=True)
    bias = fit_scales(layer, [(apply_depthwise(layer, images), target)], True)
    np.testing.assert_allclose(layer.kernel, kernel, atol=1e-5)
    np.testing.assert_allclose(bias, old_bias, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 7.3])
def test_a_constant_input_keeps_the_kernel(value):
    layer, images = build_depthwise()
    kernel = layer.kernel.numpy()
    target = apply_depthwise(layer, tf.ones_like(images), bias=True)
    outputs = apply_depthwise(layer, value * tf.ones_like(images))
    bias = fit_scales(layer, [(outputs, target)], True)
    np.testing.assert_allclose(layer.kernel, kernel, rtol=1e-2)
    repaired = apply_depthwise(layer, value * tf.ones_like(images)) + bias
    np.testing.assert_allclose(repaired, target, atol=1e-4)


def test_a_channel_without_signal_keeps_its_kernel():
    layer, images = build_depthwise()
    kernel = layer.kernel.numpy()
    target = apply_depthwise(layer, images, bias=True)
    outputs = apply_depthwise(layer, images * np.array([1, 0, 1, 1], "float32"))
    bias = fit_scales(layer, [(outputs, target)], True)
    np.testing.assert_allclose(layer.kernel[:, :, 1], kernel[:, :, 1], rtol=1e-5)
    mean = tf.reduce_mean(target[..., 1])
    np.testing.assert_allclose(bias[1], mean, atol=1e-5)


@pytest.mark.parametrize("kind", ["bias", "normalization", "neither"])
def test_a_network_with_scaled_channels_is_repaired(monkeypatch, kind):
    monkeypatch.setattr(depthwise, "RIDGE", 1e-8)
    inputs = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="free")(inputs)
    x = layers.Conv2D(2, 1, name="reader")(x)
    x = layers.Concatenate()([first, x])
    x = layers.DepthwiseConv2D(3, use_bias=kind == "bias", name="depthwise")(x)
    if kind == "normalization":
        x = layers.BatchNormalization()(x)
    model = models.randomize(keras.Model(inputs, x))
    # A unit that nothing hears: to remove it makes what follows be fitted again.
    kernel = model.get_layer("reader").kernel
    kernel.assign(kernel * np.array([[1], [1], [1], [0]], "float32"))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    (group,) = (g for g in channel_map.groups if g.name == "free")
    keep[group.units[3]] = False
    images = models.images(model, 8)
    repairer = Repairer(
        cut_out(model, keep, channel_map), [[tf.constant(images)]], ridge=1e-8
    )
    calls = repairer.channel_map.graph.calls
    (first,) = (c.operation for c in calls if c.operation.name == "first")
    for weight in first.weights:
        weight.assign(weight * FACTORS)
    expected = models.outputs_of(model, images)
    before = models.relative_difference(
        models.outputs_of(repairer.model, images), expected
    )
    assert before > 0.1
    repairer.advance(len(channel_map.graph.calls))
    after = models.outputs_of(repairer.model, images)
    assert models.relative_difference(after, expected) < 1e-3
