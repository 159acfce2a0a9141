"""Tests of the cut of the graph before each group."""

import functools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.layer_types.masked_calls import masks_at, no_masks
from keras_shapley_prune.rank.sampled.suffix import GroupMasker, Suffix
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels


def _plan(builder, layers=None, keep=None):
    model = models.build(builder)
    channel_map = trace_channels(model)
    groups = channel_map.select_groups(layers)
    suffixes = [Suffix(channel_map, group, keep) for group in groups]
    return model, channel_map, sorted(suffixes, key=lambda suffix: suffix.start)


def _run(channel_map, suffix, inputs, coalitions, find_masks=no_masks):
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    frontier = ForwardPass(channel_map.graph, [flat], find_masks)
    frontier.advance(suffix.start)
    cut = suffix.cut_values(frontier.values(0), find_masks)
    return [tensor.numpy() for tensor in suffix.run(cut, coalitions)]


@pytest.mark.sweep(4)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_a_full_coalition_gives_the_models_outputs(builder):
    model, channel_map, suffixes = _plan(builder)
    assert {s.group.name for s in suffixes} == {g.name for g in channel_map.groups}
    inputs = models.inputs_of(model, 3)
    expected = models.outputs_of(model, inputs)
    for suffix in suffixes:
        everything = tf.ones((3, suffix.num_units))
        outputs = _run(channel_map, suffix, inputs, everything)
        assert models.relative_difference(outputs, expected) < 1e-5


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_units_removed_before_are_masked_too(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    inputs = models.inputs_of(model, 3)
    for group in channel_map.groups:
        keep = models.random_keep(channel_map, 0.4, seed=1)
        keep[group.units] = True
        suffix = Suffix(channel_map, group, keep)
        masked = mask_channels(model, keep, channel_map)
        expected = models.outputs_of(masked, inputs)

        find_masks = functools.partial(masks_at, channel_map, keep)
        everything = tf.ones((3, suffix.num_units))
        outputs = _run(channel_map, suffix, inputs, everything, find_masks)
        assert models.relative_difference(outputs, expected) < 1e-5


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_what_enters_does_not_depend_on_the_masks(builder):
    _, _, suffixes = _plan(builder)
    for suffix in suffixes:
        dependent = {t for call in suffix.calls for t in call.outputs}
        assert not dependent.intersection(suffix.cut)
        assert not set(suffix.side_calls).intersection(suffix.calls)


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_only_what_depends_on_the_masks_runs_per_coalition(builder):
    _, _, suffixes = _plan(builder)
    for suffix in suffixes:
        sites = {index for index, _ in suffix.masker.sites}
        reached = set()
        for call in suffix.calls:
            assert call.index in sites or reached.intersection(call.inputs)
            reached.update(call.outputs)


def test_the_cut_of_a_chain_is_one_tensor():
    _, _, suffixes = _plan(models.chain)
    assert [s.group.name for s in suffixes] == ["conv1", "conv2", "dense1"]
    assert [len(suffix.cut) for suffix in suffixes] == [1, 1, 1]
    names = [call.operation.name for call in suffixes[2].calls]
    assert names == ["dense2"]


def test_a_skip_connection_crosses_the_cut():
    _, _, (suffix,) = _plan(models.residual, "inner1")
    assert len(suffix.cut) == 2


def test_specs_leave_the_batch_size_open():
    _, _, (suffix,) = _plan(models.chain, "conv2")
    (tensor,) = suffix.cut
    (spec,) = suffix.cut_specs([np.zeros((3, *tensor.shape[1:]), "float32")])
    assert spec.shape.as_list() == [None, *tensor.shape[1:]]
    assert spec.dtype == tf.float32


def test_group_masker_leaves_the_channels_of_other_groups_alone():
    model = models.build(models.branches)
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("a")
    masker = GroupMasker(channel_map, group)
    calls = {channel_map.graph.calls[i].operation.name for i, _ in masker.sites}
    assert calls == {"mixed", "side"}
    find_masks = masker.masks(tf.zeros((2, group.num_units)))
    ((index, position),) = [
        (i, p)
        for i, p in masker.sites
        if channel_map.graph.calls[i].operation.name == "mixed"
    ]
    call = channel_map.graph.calls[index]
    edited = find_masks(call)[position](tf.ones((2, 10, 10, 13))).numpy()
    assert not edited[..., :6].any()
    assert edited[..., 6:].all()
    assert find_masks(channel_map.graph.calls[0]) == {}
