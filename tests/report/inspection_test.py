"""Tests of the text about what can be pruned."""

import models
import pytest

from keras_shapley_prune.report.inspection import inspect
from keras_shapley_prune.trace.lock_text import group_locks
from keras_shapley_prune.trace.tracer import trace_channels


def test_a_residual_network():
    text = str(inspect(models.build(models.residual)))
    lines = text.splitlines()
    assert lines[0] == "residual: 30 removable units in 4 groups, 4 locked"
    start = lines.index("stem: 8 units")
    assert lines[start + 1].split() == ["from", "stem,", "outer1"]
    assert lines[start + 2].split() == ["to", "inner1,", "inner2,", "projection"]
    assert lines[-2:] == ["locked", "    logits (4 units): model output"]


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_every_group_and_every_lock_is_told(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    report = inspect(model, channel_map)
    text = str(report)
    for group in channel_map.groups:
        assert f"\n{group.name}: {group.num_units} units" in text
    reasons = {r for found in report.locked.values() for r in found}
    assert set(channel_map.locks.values()) <= reasons
    assert set(report.locked) == set(channel_map.lock_reasons())
    for name, reason in channel_map.lock_reasons().items():
        assert reason in report.locked[name]
    for group in group_locks(report.locked):
        assert text.count(f": {group.reason}\n") + text.endswith(group.reason) == 1


def test_locked_units_are_counted():
    report = inspect(models.build(models.locked))
    where = "not that of the channels, the last one"
    reason = f"BatchNormalization normalizes axis 1, {where} (`row_norm`)"
    assert report.locked["odd_axis"] == {reason: 8}
    assert report.locked["row_norm"] == {reason.removesuffix(" (`row_norm`)"): 0}
    assert "    logits (4 units): model output" in str(report)
    assert report.num_locked == len(report.channel_map.locks)
