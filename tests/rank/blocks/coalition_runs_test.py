"""Tests of runs without some blocks."""

import block_models
import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.deploy.fold_normalization import (
    fold_normalization as fold,
)
from keras_shapley_prune.rank.blocks.coalition_runs import CoalitionRuns
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.tracer import trace_channels

WITHOUT_NORMALIZATION = [
    models.scaled,
    models.attentive,
    block_models.shared_by_blocks,
    block_models.blocks_in_blocks,
    block_models.blocks_and_models,
    block_models.blocks_over_time,
]


def _open(model, made_up=True):
    channel_map = trace_channels(model, granularity="block")
    (group,) = channel_map.groups
    return channel_map, group, CoalitionRuns(channel_map, group, made_up)


def _flat(model):
    inputs = models.inputs_of(model, 4)
    return inputs, [tf.convert_to_tensor(inputs)]


@pytest.mark.parametrize("builder", WITHOUT_NORMALIZATION)
def test_outputs_are_those_of_the_masked_network(builder):
    model = models.build(builder)
    channel_map, group, runs = _open(model, made_up=False)
    inputs, flat = _flat(model)
    generator = np.random.default_rng(0)
    coalitions = generator.random((5, group.num_units)) < 0.6
    coalitions[3] = coalitions[0]  # which is run once
    seen = []
    for rows, values in runs.run(flat, coalitions):
        seen.append(rows)
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units] = coalitions[rows[0]]
        expected = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
        found = [values[tensor].numpy() for tensor in channel_map.graph.outputs]
        assert models.relative_difference(found, expected) < 1e-5
    assert sorted(np.concatenate(seen)) == [0, 1, 2, 3, 4]
    assert any(rows.tolist() == [0, 3] for rows in seen)


def test_statistics_are_those_that_a_repair_takes():
    model = models.build(block_models.normalized_blocks)
    channel_map, group, runs = _open(model)
    inputs, flat = _flat(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[group.units[0]] = False
    (found,) = runs.run(flat, keep[group.units][np.newaxis])
    found = [found[1][tensor].numpy() for tensor in channel_map.graph.outputs]
    repaired = repair_channels(model, keep, inputs, "batchnorm", channel_map, verbose=0)
    plain = remove_channels(model, keep, channel_map)
    expected, other = (models.outputs_of(x, inputs) for x in (repaired, plain))
    assert models.relative_difference(found, expected) < 1e-4
    assert models.relative_difference(other, expected) > 0.01


def test_folded_normalizations_are_made_up_for():
    model = models.fresh(block_models.normalized_blocks)
    inputs, flat = _flat(model)
    for layer in model.layers:  # as if it had been trained on these examples
        if isinstance(layer, keras.layers.BatchNormalization):
            read = keras.Model(model.input, layer.input)(inputs)
            mean, variance = tf.nn.moments(read, [0, 1, 2])
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
    outputs = []
    for one, made_up in ((model, True), (fold(model), True), (fold(model), False)):
        channel_map, group, runs = _open(one, made_up)
        keep = np.arange(group.num_units) != 0
        ((_, values),) = runs.run(flat, keep[np.newaxis])
        outputs.append([values[x].numpy() for x in channel_map.graph.outputs])
    normalized, folded, as_it_is = outputs
    assert models.relative_difference(folded, normalized) < 1e-4
    assert models.relative_difference(as_it_is, normalized) > 0.01


@pytest.mark.parametrize(
    "builder", [block_models.chain_of_blocks, *WITHOUT_NORMALIZATION]
)
def test_the_whole_network_is_as_it_is(builder):
    model = models.build(builder)
    channel_map, group, runs = _open(model)
    inputs, flat = _flat(model)
    ((_, values),) = runs.run(flat, np.ones((1, group.num_units), bool))
    found = [values[tensor].numpy() for tensor in channel_map.graph.outputs]
    assert models.relative_difference(found, models.outputs_of(model, inputs)) < 1e-6


def test_what_coalitions_share_is_run_once():
    model = models.build(block_models.chain_of_blocks)
    channel_map, _, runs = _open(model)
    names = {call.name: call.index for call in channel_map.graph.calls}
    every = np.array([[i >> b & 1 for b in range(3)] for i in range(8)], bool)
    counts = runs.count_calls(every)
    found = {name: counts[names[name]] for name in ("stem", "a1", "a_add", "b1", "c1")}
    # A block is run once for each choice of those before it, where it is there.
    assert found == {"stem": 1, "a1": 1, "a_add": 2, "b1": 2, "c1": 4}
    assert counts[names["logits"]] == 8


def test_activations_of_layers_stay_behind_what_is_made_up():
    inputs = x = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(x)
    for name in ("a", "b"):
        y = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name=name)(x)
        x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    keras.utils.set_random_seed(3)
    model.set_weights([np.random.normal(size=w.shape) for w in model.weights])
    _, _group, runs = _open(model)
    given, flat = _flat(model)
    ((_, values),) = runs.run(flat, np.array([[False, True]]))
    found = [values[x].numpy() for x in runs._graph.outputs]
    # By hand: the second layer, on the stem alone, at the moments that it had.
    layer = model.get_layer
    stem = layer("stem")(given)
    before, after = (
        keras.ops.convert_to_numpy(
            keras.ops.conv(read, layer("b").kernel, padding="same") + layer("b").bias
        )
        for read in (stem + layer("a")(stem), stem)
    )
    axes = (0, 1, 2)
    after = (after - after.mean(axes)) / after.std(axes) * before.std(axes)
    added = np.maximum(after + before.mean(axes), 0) + np.array(stem)
    expected = model.layers[-1](added.mean((1, 2)))
    assert models.relative_difference(found, [np.array(expected)]) < 1e-4
