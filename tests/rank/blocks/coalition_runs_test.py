"""Tests of runs without some blocks."""

import block_models
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
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


def _open(model):
    channel_map = trace_channels(model, granularity="block")
    (group,) = channel_map.groups
    return channel_map, group, CoalitionRuns(channel_map, group)


def _flat(model):
    inputs = models.inputs_of(model, 4)
    return inputs, [tf.convert_to_tensor(inputs)]


@pytest.mark.parametrize("builder", WITHOUT_NORMALIZATION)
def test_outputs_are_those_of_the_masked_network(builder):
    model = models.build(builder)
    channel_map, group, runs = _open(model)
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
    model = models.build(block_models.chain_of_blocks)
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


def test_the_whole_network_is_as_it_is():
    model = models.build(block_models.chain_of_blocks)
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
