"""Tests of the mask layer, and of masked models against pruned ones."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.cut.masking import ChannelMask, mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

TOLERANCE = 1e-4  # relative, float32


def _check_masked_equals_pruned(model, fractions, seed=0, num_examples=4):
    """Checks the outputs; returns how many parameters stay at each fraction."""
    channel_map = trace_channels(model)
    inputs = models.inputs_of(model, num_examples, seed)
    original = models.outputs_of(model, inputs)
    counts = []
    for fraction in fractions:
        keep = models.random_keep(channel_map, fraction, seed)
        masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
        pruned_model = remove_channels(model, keep, channel_map)
        pruned = models.outputs_of(pruned_model, inputs)
        assert models.relative_difference(pruned, masked) < TOLERANCE
        assert models.relative_difference(pruned, original) > 0.01
        counts.append(pruned_model.count_params())
        assert counts[-1] < model.count_params()
    return counts


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("builder", "fraction", "seed"),
    [*((builder, 0.6, 1) for builder in models.BUILDERS), (models.residual, 0.25, 0)],
)
def test_masked_equals_pruned(builder, fraction, seed):
    _check_masked_equals_pruned(models.build(builder, seed), [fraction], seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["MobileNetV2"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("ResNet50V2", "DenseNet121", "EfficientNetB0", "ConvNeXtTiny")
    ],
)
def test_masked_equals_pruned_on_applications(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    models.randomize(model)
    few, many = _check_masked_equals_pruned(model, (0.25, 0.6), num_examples=2)
    assert few < 0.85 * model.count_params()
    assert many < 0.5 * model.count_params()


def _check_group_masker(model, channel_map, fraction, num_examples):
    """What the ranker evaluates is the masked model, group by group."""
    keep = models.random_keep(channel_map, fraction)
    inputs = models.inputs_of(model, num_examples)
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    frontier = ForwardPass(channel_map.graph, [flat])
    suffixes = [Suffix(channel_map, group) for group in channel_map.groups]
    for suffix in sorted(suffixes, key=lambda suffix: suffix.start):
        group = suffix.group
        frontier.advance(suffix.start)
        cut = suffix.cut_values(frontier.values(0))
        one_keep = np.ones_like(keep)
        one_keep[group.units] = keep[group.units]
        rows = np.tile(keep[group.units].astype("float32"), (num_examples, 1))
        seen = [t.numpy() for t in suffix.run(cut, tf.constant(rows))]
        masked = mask_channels(model, one_keep, channel_map)
        expected = models.outputs_of(masked, inputs)
        assert models.relative_difference(seen, expected) < TOLERANCE, group.name


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_the_ranker_sees_the_masked_model(builder):
    model = models.build(builder)
    _check_group_masker(model, trace_channels(model), 0.5, num_examples=3)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "builder",
    [
        models.residual,
        models.nested,
        models.normalized,
        models.attentive,
        models.recurrent,
    ],
)
def test_each_example_has_its_own_mask(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    inputs = models.inputs_of(model, num_examples=3)
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    group = channel_map.groups[0]
    suffix = Suffix(channel_map, group)
    frontier = ForwardPass(channel_map.graph, [flat])
    frontier.advance(suffix.start)
    rows = np.random.default_rng(0).integers(0, 2, (3, group.num_units))
    rows[:, 0] = 1
    cut = suffix.cut_values(frontier.values(0))
    together = suffix.run(cut, tf.constant(rows, tf.float32))
    for example, row in enumerate(rows):
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units] = row.astype(bool)
        masked = mask_channels(model, keep, channel_map)
        expected = models.outputs_of(masked, inputs)
        for seen, outputs in zip(together, expected, strict=True):
            np.testing.assert_allclose(
                seen[example], outputs[example], rtol=1e-4, atol=1e-5
            )


def test_masking_nothing_changes_nothing():
    model = models.build(models.residual)
    channel_map = trace_channels(model)
    masked = mask_channels(model, np.ones(channel_map.num_units, bool))
    inputs = models.inputs_of(model)
    outputs = models.outputs_of(masked, inputs), models.outputs_of(model, inputs)
    assert models.relative_difference(*outputs) < 1e-6
    assert masked.name == "masked_residual"


def test_masks_are_named_after_the_layers_that_read():
    model = models.build(models.shared)
    channel_map = trace_channels(model)
    masked = mask_channels(model, np.ones(channel_map.num_units, bool), channel_map)
    masks = [x.name for x in masked.layers if isinstance(x, ChannelMask)]
    assert sorted(masks) == [
        "conv_mask",
        "conv_mask_2",
        "logits_mask",
        "side_mask",
        "tail_mask",
    ]
    assert all(not x.trainable_weights for x in masked.layers if x.name in masks)
    assert masked.get_layer("conv").kernel is model.get_layer("conv").kernel


def test_mask_channels_keeps_the_models_own_graph():
    model = models.build(models.branches)
    channel_map = trace_channels(model)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    mask_channels(model, models.random_keep(channel_map, 0.5), channel_map)
    after = models.snapshot(model, inputs)
    for name in ("config", "names", "layers", "trainable", "weights", "outputs"):
        assert after[name] == before[name]


def test_mask_channels_checks_keep():
    model = models.build(models.chain)
    with pytest.raises(ValueError, match="Argument `keep`"):
        mask_channels(model, np.ones(3, bool))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (4, 3, 5), (4, 4, 3, 5)])
@pytest.mark.parametrize("one_each", [False, True])
def test_channel_mask_multiplies_the_last_axis(shape, one_each):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, *shape)).astype("float32")
    mask = generator.integers(0, 2, (2, 5) if one_each else (5,)).astype("float32")
    expected = [a * m for a, m in zip(x, mask, strict=True)] if one_each else x * mask
    np.testing.assert_array_equal(ChannelMask()(x, channel_mask=mask), expected)


def test_channel_mask_has_a_mask_of_its_own():
    layer = ChannelMask(name="gate")
    x = np.ones((2, 3, 4), "float32")
    np.testing.assert_array_equal(layer(x), x)
    assert [w.name for w in layer.non_trainable_weights] == ["mask"]
    layer.mask.assign([1, 0, 0, 1])
    np.testing.assert_array_equal(layer(x)[0, 0], [1, 0, 0, 1])
    assert layer.compute_output_shape((None, 3, 4)) == (None, 3, 4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_channel_mask_keeps_the_dtype(dtype):
    x = keras.ops.ones((2, 4), dtype)
    assert keras.backend.standardize_dtype(ChannelMask(dtype=dtype)(x).dtype) == dtype


def test_channel_mask_in_a_functional_model_takes_a_mask_an_example():
    image, mask = keras.Input((4, 4, 3)), keras.Input((3,))
    model = keras.Model([image, mask], ChannelMask()(image, channel_mask=mask))
    outputs = model([np.ones((2, 4, 4, 3)), np.eye(3)[:2]])
    np.testing.assert_array_equal(outputs[:, 0, 0], np.eye(3)[:2])


@pytest.mark.parametrize(
    ("builder", "ending"), [(models.residual, ".keras"), (models.chain, ".h5")]
)
def test_a_masked_model_saves_and_loads(tmp_path, builder, ending):
    model = models.build(builder)
    channel_map = trace_channels(model)
    masked = mask_channels(model, models.random_keep(channel_map, 0.5), channel_map)
    masked.save(tmp_path / f"masked{ending}")
    loaded = keras.models.load_model(tmp_path / f"masked{ending}")
    inputs = models.inputs_of(model)
    for ours, theirs in zip(
        models.outputs_of(loaded, inputs),
        models.outputs_of(masked, inputs),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert any(isinstance(layer, ChannelMask) for layer in loaded.layers)
