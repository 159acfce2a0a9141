"""Tests of what is timed."""

import numpy as np
import pytest
from clocks import build_residual

from keras_shapley_prune.latency.width_mixes import STEPS, draw_mixes, list_sizes
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.parametrize(
    "step, size, expected",
    [
        (16, 64, [64, 48, 32, 16, 8]),
        (16, 40, [40, 32, 16, 8]),
        (16, 16, [16, 8, 4]),
        (8, 10, [10, 8, 4, 2]),
        (1, 3, [3, 2, 1]),
        (16, 1, [1]),
    ],
)
def test_sizes(step, size, expected):
    assert list_sizes(step, size).tolist() == expected


def test_mixes_are_of_their_steps():
    channel_map = trace_channels(build_residual(width=64))
    mixes = draw_mixes(channel_map)
    size = channel_map.groups[0].num_units
    assert mixes[0].kept == {g.name: g.num_units for g in channel_map.groups}
    assert {mix.step for mix in mixes} == set(STEPS)
    for mix in mixes:
        for count in mix.kept.values():
            assert 1 <= count <= size
            if mix.step < STEPS[0] and count < size:
                assert count % (2 * mix.step) or mix.step == 1
                assert count % mix.step == 0


def test_the_same_mixes_are_drawn_again():
    channel_map = trace_channels(build_residual(width=64))
    assert draw_mixes(channel_map) == draw_mixes(channel_map)


def test_keep():
    channel_map = trace_channels(build_residual(width=64))
    for mix in draw_mixes(channel_map):
        keep = mix.keep(channel_map)
        for group in channel_map.groups:
            assert np.count_nonzero(keep[group.units]) == mix.kept[group.name]


def test_blocks_are_left_out_of_some():
    channel_map = trace_channels(build_residual(width=16), "both")
    mixes = draw_mixes(channel_map)
    names = {block.name for block in channel_map.blocks}
    without = [mix for mix in mixes if mix.removed]
    assert without and all(set(mix.removed) < names for mix in without)
    units = [block.unit for block in channel_map.blocks]
    assert not without[0].keep(channel_map)[units].all()
