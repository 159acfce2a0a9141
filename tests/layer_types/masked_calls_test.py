"""Tests of masks of a single call, and of masked calls as layers."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.masking import MaskedCall, mask_channels
from keras_shapley_prune.layer_types.masked_calls import (
    Mask,
    mask_inputs,
    masks_at,
    run_masked,
)
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.trace.tracer import trace_channels

SPECIAL = [models.normalized, models.scaled, models.attentive, models.recurrent]


@pytest.mark.parametrize("shape", [(5,), (3, 5), (4, 3, 5)])
@pytest.mark.parametrize("values", [(5,), (2, 5)])
def test_a_mask_multiplies_the_last_axis(shape, values):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, *shape)).astype("float32")
    mask = generator.integers(0, 2, values).astype("float32")
    rows = np.broadcast_to(mask, (2, 5))
    expected = [a * m for a, m in zip(x, rows, strict=True)]
    np.testing.assert_array_equal(Mask(mask)(tf.constant(x)), expected)


def test_a_mask_can_be_watched_and_passes_masks_of_time_steps():
    seen = []
    x = layers.Masking()(np.ones((2, 3, 4), "float32"))
    masked = Mask(np.eye(4)[0], seen.append)(x)
    assert seen == [masked] or seen[0] is masked
    np.testing.assert_array_equal(masked._keras_mask, np.ones((2, 3), bool))


def test_inputs_without_a_mask_are_left_alone():
    one, other = tf.ones((2, 3)), tf.ones((2, 3))
    masked = mask_inputs([one, other], {1: Mask(np.zeros(3))})
    assert masked[0] is one
    assert not masked[1].numpy().any()


def test_masks_at_a_call_are_those_of_what_is_not_whole():
    model = models.build(models.recurrent)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    calls = {call.operation.name: call for call in channel_map.graph.calls}
    assert masks_at(channel_map, keep, calls["gru"]) == {}
    (group,) = channel_map.select_groups("gru")
    keep[group.units[2]] = False
    found = masks_at(channel_map, keep, calls["gru"])
    assert list(found) == [INSIDE]
    np.testing.assert_array_equal(found[INSIDE].values, [1, 1, 0, 1, 1])
    assert list(masks_at(channel_map, keep, calls["simple"])) == [0]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", SPECIAL)
def test_each_call_under_a_full_mask_is_the_operation(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    graph = channel_map.graph
    inputs = models.inputs_of(model, 2)
    values = dict(zip(graph.inputs, [tf.constant(inputs)], strict=True))
    for call in graph.calls:
        read = call.read(values)
        plain = run_masked(call, read, {})
        masks = {
            position: Mask(tf.ones((2, len(ids))))
            for position, ids in channel_map.sites_at(call).items()
        }
        for ours, theirs in zip(run_masked(call, read, masks), plain, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        values.update(zip(call.outputs, plain, strict=True))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", SPECIAL)
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_masked_model_with_masked_calls_saves_and_loads(tmp_path, builder, ending):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    masked = mask_channels(model, keep, channel_map)
    assert any(isinstance(layer, MaskedCall) for layer in masked.layers)
    inputs = models.inputs_of(model)
    if ending == ".keras":
        masked.save(tmp_path / "masked.keras")
        loaded = keras.models.load_model(tmp_path / "masked.keras")
    else:
        masked.save_weights(tmp_path / f"masked{ending}")
        loaded = mask_channels(models.fresh(builder, 1), keep)
        loaded.load_weights(tmp_path / f"masked{ending}")
    ours, theirs = models.outputs_of(loaded, inputs), models.outputs_of(masked, inputs)
    assert models.relative_difference(ours, theirs) < 1e-5


def test_a_masked_call_shares_the_layer_and_is_named_after_it():
    model = models.build(models.attentive)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    masked = mask_channels(model, keep, channel_map)
    layer = masked.get_layer("self_attention_masked")
    assert layer.operation is model.get_layer("self_attention")
    assert [w.name for w in layer.non_trainable_weights if "mask" in w.name] == [
        "mask_inside",
        "mask_0",
        "mask_1",
    ]
    (group,) = channel_map.select_groups("self_attention")[1:2]
    np.testing.assert_array_equal(layer.masks[str(INSIDE)], keep[group.units])


@pytest.mark.parametrize("explicitly", [False, True])
def test_a_network_is_run_in_inference(explicitly):
    inputs = keras.Input((8, 8, 2))
    options = {"training": True} if explicitly else {}
    x = layers.RandomFlip("horizontal", seed=0)(inputs, **options)
    x = layers.Dropout(0.5, seed=0)(x, **options)
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 3)(x)))
    images = models.images(model, 16)
    graph = trace_channels(model).graph
    outputs = graph.run([tf.constant(images)])
    expected = model(images, training=False)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
