"""Tests of the cut of the graph before each group."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.ranking.suffix import plan_suffixes


def _plan(builder, layers=None):
    model = models.build(builder)
    channel_map = trace_channels(model)
    groups = channel_map.select_groups(layers)
    return model, channel_map, plan_suffixes(channel_map, groups)


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_a_full_coalition_gives_the_models_outputs(builder):
    model, channel_map, plan = _plan(builder)
    inputs = models.inputs_of(model, 3)
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    values = dict(zip(channel_map.graph.inputs, flat, strict=True))
    expected = models.outputs_of(model, inputs)
    for group, suffix in plan:
        cut = suffix.advance(values)
        outputs = suffix.run(cut, tf.ones((3, group.num_units)))
        outputs = [tensor.numpy() for tensor in outputs]
        assert models.relative_difference(outputs, expected) < 1e-5
        for tensor in suffix.release:
            values.pop(tensor, None)


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_every_call_runs_at_most_once_before_the_masks(builder):
    _, channel_map, plan = _plan(builder)
    assert {group.name for group, _ in plan} == {g.name for g in channel_map.groups}
    prefixes = [call for _, suffix in plan for call in suffix.prefix]
    assert len(prefixes) == len(set(prefixes))
    for _, suffix in plan:
        dependent = {t for call in suffix.calls for t in call.outputs}
        assert not dependent.intersection(suffix.cut)


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_only_what_depends_on_the_masks_runs_per_coalition(builder):
    _, _, plan = _plan(builder)
    for _, suffix in plan:
        sites = {index for index, _ in suffix.masker.sites}
        reached = set()
        for call in suffix.calls:
            assert call.index in sites or reached.intersection(call.inputs)
            reached.update(call.outputs)


def test_released_tensors_are_needed_no_more():
    _, _, plan = _plan(models.residual)
    released = set()
    for _, suffix in plan:
        needed = {t for call in suffix.prefix for t in call.inputs}
        assert not released & (needed | set(suffix.cut))
        released |= set(suffix.release)


def test_the_cut_of_a_chain_is_one_tensor():
    _, _, plan = _plan(models.chain)
    assert [group.name for group, _ in plan] == ["conv1", "conv2", "dense1"]
    assert [len(suffix.cut) for _, suffix in plan] == [1, 1, 1]
    names = [call.operation.name for call in plan[2][1].calls]
    assert names == ["dense2"]


def test_a_skip_connection_crosses_the_cut():
    _, _, plan = _plan(models.residual, "inner1")
    ((_, suffix),) = plan
    assert len(suffix.cut) == 2


def test_specs_leave_the_batch_size_open():
    _, _, plan = _plan(models.chain, "conv2")
    ((_, suffix),) = plan
    (tensor,) = suffix.cut
    (spec,) = suffix.cut_specs([np.zeros((3, *tensor.shape[1:]), "float32")])
    assert spec.shape.as_list() == [None, *tensor.shape[1:]]
    assert spec.dtype == tf.float32
