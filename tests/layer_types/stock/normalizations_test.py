"""Tests of normalizations, whose statistics are over the channels that are there."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune import BaselineRanker, ShapleyRanker, prune
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.masked_calls import Mask, run_masked
from keras_shapley_prune.trace.tracer import trace_channels


def _model(step, filters=12, shape=(5, 5, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Conv2D(filters, 3, name="conv")(inputs)
    x = layers.Conv2D(8, 1, activation="tanh", name="reader")(step(x))
    x = layers.GlobalAveragePooling2D()(x)
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="last")(x)))


STEPS = [
    lambda: layers.LayerNormalization(),
    lambda: layers.LayerNormalization(center=False, epsilon=0.5),
    lambda: layers.LayerNormalization(axis=[1, 2, 3], scale=False),
    lambda: layers.LayerNormalization(axis=(2, -1), center=False, scale=False),
    lambda: layers.RMSNormalization(epsilon=0.1),
    lambda: layers.RMSNormalization(axis=[2, 3]),
    lambda: layers.UnitNormalization(),
    lambda: layers.UnitNormalization(axis=[1, 2, 3]),
    lambda: layers.GroupNormalization(3, epsilon=0.1),
    lambda: layers.GroupNormalization(1, scale=False),
    lambda: layers.GroupNormalization(4, axis=3),
    lambda: layers.GroupNormalization(-1),
    lambda: layers.Softmax(),
    lambda: layers.Softmax(axis=[2, 3]),
    lambda: layers.Softmax(axis=1),
    lambda: keras.ops.softmax,
]


@pytest.mark.sweep(1)
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize(
    "make", [*STEPS, lambda: layers.LayerNormalization(rms_scaling=True)]
)
def test_masked_equals_pruned(make):
    models.check_masks(_model(make()))


@pytest.mark.sweep(3)
@pytest.mark.parametrize("make", STEPS[:7])
def test_what_is_multiplied_only_is_another_network(make):
    """Without a masked form, the statistics count channels that are not there."""
    step = make()
    model = _model(step)
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("conv")
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[:6]] = False
    conv, reader = model.get_layer("conv"), model.get_layer("reader")
    x = models.images(model)
    (expected,) = models.outputs_of(remove_channels(model, keep), x)
    for weight, axis in ((conv.kernel, -1), (conv.bias, 0), (reader.kernel, 2)):
        value = np.moveaxis(weight.numpy(), axis, 0)
        value[:6] = 0
        weight.assign(np.moveaxis(value, 0, axis))
    (multiplied,) = models.outputs_of(model, x)
    differ = models.relative_difference([multiplied], [expected]) > 1e-3
    assert differ == (type(step) is not layers.UnitNormalization)


@pytest.mark.parametrize(
    ("groups", "num_units", "groups_left"), [(3, 4, 3), (6, 6, 3), (-1, 12, 6)]
)
def test_groups_shrink_or_leave(groups, num_units, groups_left):
    model = _model(layers.GroupNormalization(groups, name="norm"))
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("conv")
    assert group.num_units == num_units
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[::2]] = False
    smaller = remove_channels(model, keep, channel_map)
    assert smaller.get_layer("conv").filters == 6
    assert smaller.get_layer("norm").groups == groups_left


@pytest.mark.sweep(6)
def test_a_norm_over_positions_keeps_channels_apart():
    model = _model(layers.UnitNormalization(axis=[1, 2]))
    models.check_masks(models.randomize(model))


@pytest.mark.sweep(8)
@pytest.mark.parametrize("make", STEPS)
def test_no_channel_at_all_gives_finite_values(make):
    graph = trace_channels(_model(make())).graph
    (call,) = graph.consumers()[graph.calls[0].outputs[0]]
    x = tf.random.normal((2, 3, 3, 12), seed=0)
    (outputs,) = run_masked(call, [x], {0: Mask(tf.zeros((2, 12)))})
    assert np.isfinite(outputs).all()


@pytest.mark.sweep(6)
@pytest.mark.parametrize("make", STEPS)
def test_a_full_mask_changes_nothing(make):
    graph = trace_channels(_model(make())).graph
    (call,) = graph.consumers()[graph.calls[0].outputs[0]]
    x = tf.random.normal((2, 3, 3, 12), seed=0)
    (masked,) = run_masked(call, [x], {0: Mask(tf.ones((2, 12)))})
    (plain,) = run_masked(call, [x], {})
    np.testing.assert_allclose(masked, plain, atol=1e-5)
    assert masked.dtype == plain.dtype


@pytest.mark.sweep(1)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("make", [*STEPS[:1], *STEPS[4:5], *STEPS[8:9], *STEPS[12:13]])
def test_other_precisions(policy, make):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = _model(make())
        tolerance = {"float64": 1e-6, "mixed_float16": 1e-2}.get(policy, 0.05)
        models.check_masks(model, fractions=(0.5,), tolerance=tolerance)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "ranker",
    [None, ShapleyRanker("loss"), BaselineRanker("l1_norm"), BaselineRanker("apoz")],
)
def test_a_normalized_network_is_pruned_end_to_end(ranker):
    model = models.fresh(models.normalized)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = models.images(model, 16), np.arange(16) % 4
    pruned = prune(model, data, 0.5, ranker=ranker, verbose=0)  # which verifies
    assert pruned.count_params() < 0.6 * model.count_params()


@pytest.mark.slow
def test_a_block_of_convnext_is_pruned_end_to_end():
    model = models.build(models.scaled)
    pruned = prune(model, models.images(model, 16), 0.5, verbose=0)
    scale = pruned.get_layer("scale0")
    assert (scale.projection_dim, scale.gamma.shape[0]) == (4, 4)
    models.check_masks(model)
