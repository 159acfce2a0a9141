"""Tests of which units leave."""

import models
import numpy as np
import pytest

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.ranking import GroupScores, Ranking
from keras_shapley_prune.selection import check_ratio, select_units


def _scores(channel_map, seed=0, **values):
    generator = np.random.default_rng(seed)
    return Ranking(
        {
            group.name: GroupScores(
                np.asarray(
                    values.get(group.name, generator.normal(size=group.num_units))
                ),
                np.zeros(group.num_units),
                0,
            )
            for group in channel_map.groups
        },
        "given",
        1,
    )


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_each_group_loses_its_fraction_of_the_least_valuable(builder):
    channel_map = trace_channels(models.build(builder))
    ranking = _scores(channel_map)
    for ratio in (0, 0.1, 0.25, 0.5, 0.6, 0.999):
        keep = select_units(channel_map, ranking, ratio)
        channel_map.check_keep(keep)
        assert keep[list(channel_map.locks)].all()
        for group in channel_map.groups:
            stay, values = keep[group.units], ranking[group.name].values
            removed = min(int(ratio * group.num_units + 0.5), group.num_units - 1)
            assert (~stay).sum() == removed
            if removed:
                assert values[~stay].max() <= values[stay].min()


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.25, 2), (0.3, 2), (0.32, 3), (0.5, 4), (0.95, 7)]
)
def test_counts(ratio, expected):
    channel_map = trace_channels(models.build(models.chain))
    keep = select_units(channel_map, _scores(channel_map), ratio)
    assert (~keep[channel_map.groups[0].units]).sum() == expected


def test_a_half_is_rounded_up_in_every_group():
    channel_map = trace_channels(models.build(models.depthwise))
    keep = select_units(channel_map, _scores(channel_map), 0.5)
    removed = {g.name: int((~keep[g.units]).sum()) for g in channel_map.groups}
    assert removed == {"conv": 3, "separable": 4}  # of 5 and 7


def test_of_equal_values_the_first_leave():
    channel_map = trace_channels(models.build(models.chain))
    ranking = _scores(channel_map, conv1=[1, 0, 0, 2, 0, 0, 3, 0])
    keep = select_units(channel_map, ranking, 0.25)
    units = channel_map.groups[0].units
    np.testing.assert_array_equal(np.flatnonzero(~keep[units]), [1, 2])


def test_a_group_that_is_not_ranked_stays_whole():
    channel_map = trace_channels(models.build(models.chain))
    ranking = {"conv2": _scores(channel_map)["conv2"]}
    keep = select_units(channel_map, ranking, 0.5)
    removed = {g.name: int((~keep[g.units]).sum()) for g in channel_map.groups}
    assert removed == {"conv1": 0, "conv2": 6, "dense1": 0}


@pytest.mark.parametrize(("name", "count"), [("conv1", 7), ("other", 8), ("dense2", 4)])
def test_a_ranking_of_another_model_is_refused(name, count):
    channel_map = trace_channels(models.build(models.chain))
    ranking = {name: GroupScores(np.zeros(count), np.zeros(count), 0)}
    with pytest.raises(ValueError, match="Argument `ranking`") as info:
        select_units(channel_map, ranking, 0.5)
    assert "{'conv1': 8, 'conv2': 12, 'dense1': 10}" in str(info.value)
    assert f"{count} values for {name!r}" in str(info.value)


@pytest.mark.parametrize("ratio", [0, 0.0, 0.5, np.float32(0.3), 1 - 1e-9])
def test_ratios(ratio):
    check_ratio(ratio)


BAD_RATIOS = [1, 1.0, -0.1, 1.5, 50, np.nan, np.inf, "0.5", None, True, [0.5]]


@pytest.mark.parametrize("ratio", BAD_RATIOS)
def test_bad_ratios(ratio):
    channel_map = trace_channels(models.build(models.chain))
    with pytest.raises(ValueError, match=r"`ratio` should be a float in \[0, 1\)") as e:
        select_units(channel_map, {}, ratio)
    assert f"Received: ratio={ratio!r}" in str(e.value)
