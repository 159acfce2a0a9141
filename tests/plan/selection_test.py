"""Tests of which units leave."""

import dataclasses
import re

import keras
import models
import numpy as np
import pytest

from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.planner import plan_pruning
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.plan.selection import make_plan, ratios_to_rank
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.trace.tracer import trace_channels


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


def _keep(channel_map, ranking, ratio, **budget):
    return make_plan(channel_map, ranking, PruningBudget(ratio, **budget)).keep


@pytest.mark.sweep(6)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_each_group_loses_its_fraction_of_the_least_valuable(builder):
    channel_map = trace_channels(models.build(builder))
    ranking = _scores(channel_map)
    for ratio in (0, 0.1, 0.25, 0.5, 0.6, 0.999):
        keep = _keep(channel_map, ranking, ratio)
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
    keep = _keep(channel_map, _scores(channel_map), ratio)
    assert (~keep[channel_map.groups[0].units]).sum() == expected


def test_a_half_is_rounded_up_in_every_group():
    channel_map = trace_channels(models.build(models.depthwise))
    keep = _keep(channel_map, _scores(channel_map), 0.5)
    removed = {g.name: int((~keep[g.units]).sum()) for g in channel_map.groups}
    assert removed == {"conv": 3, "separable": 4}  # of 5 and 7


def test_of_equal_values_the_first_leave():
    channel_map = trace_channels(models.build(models.chain))
    ranking = _scores(channel_map, conv1=[1, 0, 0, 2, 0, 0, 3, 0])
    keep = _keep(channel_map, ranking, 0.25)
    units = channel_map.groups[0].units
    np.testing.assert_array_equal(np.flatnonzero(~keep[units]), [1, 2])


def test_a_group_that_is_not_ranked_stays_whole():
    channel_map = trace_channels(models.build(models.chain))
    ranking = {"conv2": _scores(channel_map)["conv2"]}
    keep = _keep(channel_map, ranking, 0.5)
    removed = {g.name: int((~keep[g.units]).sum()) for g in channel_map.groups}
    assert removed == {"conv1": 0, "conv2": 6, "dense1": 0}


@pytest.mark.parametrize(("name", "count"), [("conv1", 7), ("other", 8), ("dense2", 4)])
def test_a_ranking_of_another_model_is_refused(name, count):
    channel_map = trace_channels(models.build(models.chain))
    ranking = {name: GroupScores(np.zeros(count), np.zeros(count), 0)}
    with pytest.raises(ValueError, match="Argument `ranking`") as info:
        _keep(channel_map, ranking, 0.5)
    assert "{'conv1': 8, 'conv2': 12, 'dense1': 10}" in str(info.value)
    assert f"{count} values for {name!r}" in str(info.value)


@pytest.mark.parametrize("ratio", [0.5, {"second": 0.5}])
def test_a_ranking_of_other_layers_is_refused(ratio):
    model = keras.Sequential([keras.Input((4,))])
    for name in ("first", "second", "last"):
        model.add(keras.layers.Dense(4, name=name))
    ranking = Ranking({"first": GroupScores(np.arange(4), np.zeros(4), 1)}, "m", 1)
    with pytest.raises(ValueError, match=r"`ranking` should score .*of .'first'"):
        plan_pruning(model, ranking, ratio, layers=["second"])


def test_the_public_function():
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    ranking = _scores(channel_map)
    plan = plan_pruning(model, ranking, 0.4, of="params", ignore="dense1")
    assert plan.units["conv1"][1] < 8
    assert "dense1" not in plan.units
    assert plan.budget == PruningBudget(0.4, "params", ignore="dense1")
    budget = PruningBudget(0.4, "params", ignore="dense1")
    np.testing.assert_array_equal(
        plan.keep, make_plan(channel_map, ranking, budget).keep
    )
    with pytest.raises(ValueError, match="`of` should be one of"):
        plan_pruning(model, ranking, of="weight")


def test_a_plan_names_what_a_function_has_selected(tmp_path):
    model = models.build(models.chain)
    ranking = _scores(trace_channels(model))

    def is_dense(layer):
        return isinstance(layer, keras.layers.Dense)

    plan = plan_pruning(model, ranking, 0.5, layers=is_dense)
    assert plan.budget == PruningBudget(0.5, layers=["dense1"])
    assert list(plan.units) == ["dense1"]
    plan.save(tmp_path / "plan.json")
    loaded = PruningPlan.load(tmp_path / "plan.json", model)
    np.testing.assert_array_equal(loaded.keep, plan.keep)
    shares = plan_pruning(model, ranking, {re.compile("^d"): 0.5})
    np.testing.assert_array_equal(shares.keep, plan.keep)


def test_a_budget_out_of_reach_may_be_met_as_far_as_possible():
    channel_map = trace_channels(models.build(models.chain))
    budget = PruningBudget(0.98, "params", layers="conv1")
    with pytest.raises(ValueError, match="should be at most"):
        make_plan(channel_map, _scores(channel_map), budget)
    plan = make_plan(channel_map, _scores(channel_map), budget, strict=False)
    assert plan.units == {"conv1": (8, 1)}


def test_global_scope_removes_the_lowest_of_all_groups():
    channel_map = trace_channels(models.build(models.chain))
    low = {"conv2": np.arange(12) * 1e-6}
    ranking = _scores(channel_map, **low, conv1=np.arange(1, 9), dense1=range(1, 11))
    plan = make_plan(channel_map, ranking, PruningBudget(0.3, scope="global"))
    assert plan.units == {"conv1": (8, 8), "conv2": (12, 3), "dense1": (10, 10)}


def test_units_of_no_known_value_leave_last():
    channel_map = trace_channels(models.build(models.chain))
    values = np.array([3.0, np.nan, 1.0, np.nan, 2.0, 2.0, 2.0, 2.0])
    # Never sampled: they have no error either.
    errors = np.where(np.isnan(values), np.inf, 0)
    scores = {**_scores(channel_map), "conv1": GroupScores(values, errors, 1)}
    ranking = Ranking(scores, "given", 1)
    keep = _keep(channel_map, ranking, 0.7, layers="conv1")
    assert keep[channel_map.groups[0].units[[1, 3]]].all()
    keep = _keep(channel_map, ranking, 0.5, scope="global")
    assert keep[channel_map.groups[0].units[[1, 3]]].all()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_scores_have_to_be_finite(number):
    model = models.build(models.chain)
    channel_map = trace_channels(model)
    values = np.array([3.0, 1.0, number, 2.0, 2.0, 2.0, 2.0, 2.0])
    ranking = _scores(channel_map, conv1=values)
    with pytest.raises(ValueError, match=r"a value .* for unit 2 of group 'conv1'"):
        plan_pruning(model, ranking, channel_map=channel_map)
    scores = _scores(channel_map)
    costs = np.array([0.0] * 7 + [np.inf])
    changed = dataclasses.replace(scores["conv1"], removal_costs=costs)
    ranking = Ranking({**scores, "conv1": changed}, "given", 1)
    with pytest.raises(ValueError, match=r"a removal cost .* for unit 7 of group"):
        plan_pruning(model, ranking, channel_map=channel_map)


@pytest.mark.parametrize("settings", [{"round_to": 16}, {"min_units": 30}])
@pytest.mark.parametrize(
    "budget",
    [
        {"ratio": 0.5},
        {"ratio": {"conv*": 0.5}},
        {"of": "units", "scope": "global"},
        {"of": "params"},
        {"of": "flops", "scope": "global"},
        {"of": "bytes"},
    ],
    ids=str,
)
def test_what_lets_no_group_lose_a_unit_is_refused(budget, settings):
    """Units at a share of each layer were silently kept, all of them."""
    model = models.build(models.chain)
    ranking = _scores(trace_channels(model))
    message = r"`round_to` and `min_units` should let .* at most 12 units"
    with pytest.raises(ValueError, match=message):
        plan_pruning(model, ranking, **{"ratio": 0.5, **budget}, **settings)


def test_a_share_that_is_missed_is_told():
    model = models.build(models.chain)  # groups of 8, 12 and 10 units
    ranking = _scores(trace_channels(model))
    message = r"^20\.0% of the units are removed, not 50\.0%: .* min_units=8 allow"
    with pytest.warns(UserWarning, match=message) as caught:
        plan = plan_pruning(model, ranking, 0.5, min_units=8)
    (told,) = [one for one in caught if one.category is UserWarning]
    assert told.filename == __file__
    assert [kept for _, kept in plan.units.values()] == [8, 8, 8]
    shares = {"conv1": 0.5, "conv2": 0.25}
    with pytest.warns(UserWarning, match=r"^20\.0% .* not 35\.0%: .* \['conv1', 'co"):
        plan = plan_pruning(model, ranking, shares, round_to=8)
    assert "35.0% of the units of these layers; reached: 20.0%" in str(plan)
    with pytest.warns(UserWarning, match=r"not 4\.0%: in each .* less than half a"):
        plan_pruning(model, ranking, 0.04)


def test_whole_units_and_the_last_one_are_no_miss(recwarn):
    model = models.build(models.chain)
    ranking = _scores(trace_channels(model))
    for ratio in (0.0, 0.01, 0.2, 0.99, {"conv1": 0.3}, {"conv1": 0.0}):
        plan_pruning(model, ranking, ratio)
    plan_pruning(model, ranking, 0.0, round_to=64)
    plan_pruning(model, ranking, 0.0, of="flops", round_to=64)
    assert not [one for one in recwarn if one.category is UserWarning]


def test_what_has_to_be_ranked():
    channel_map = trace_channels(models.build(models.chain))
    assert ratios_to_rank(channel_map, PruningBudget(0.25, ignore="conv1")) == 0.25
    found = ratios_to_rank(channel_map, PruningBudget({"*": 0.25}))
    assert found == pytest.approx({"conv1": 0.25, "conv2": 0.25, "dense1": 0.3})
    found = ratios_to_rank(channel_map, PruningBudget({"conv1": 0.5, "conv2": 0.75}))
    assert found == {"conv1": 0.5, "conv2": 0.75}
    found = ratios_to_rank(channel_map, PruningBudget(0.1, scope="global"))
    assert set(found.values()) == {0.95}
    found = ratios_to_rank(channel_map, PruningBudget(0.6, "flops"))
    assert 0.3 < min(found.values()) <= max(found.values()) < 0.8


def test_values_of_different_scale_are_compared_as_shares_of_the_mean():
    channel_map = trace_channels(models.build(models.chain))
    values = {"conv1": np.arange(1, 9), "conv2": np.arange(1, 13) * 1e-6}
    ranking = _scores(channel_map, **values, dense1=np.arange(1, 11) * 1e6)
    budget = PruningBudget(0.3, scope="global")
    plan = make_plan(channel_map, ranking, budget)
    assert plan.units == {"conv1": (8, 8), "conv2": (12, 3), "dense1": (10, 10)}
    ranking.comparable = False
    units = make_plan(channel_map, ranking, budget).units
    assert all(before - after in (2, 3, 4) for before, after in units.values())


def test_scores_that_only_order_units_do_not_count_for_what_units_save():
    """Or nearly all units would leave the layer in which one costs most."""
    channel_map = trace_channels(models.build(models.chain))
    sizes = {"conv1": 8, "conv2": 12, "dense1": 10}
    ranking = _scores(channel_map, **{n: np.arange(1, s + 1) for n, s in sizes.items()})
    budget = PruningBudget(0.4, "flops", "global")
    ranking.comparable = False
    units = make_plan(channel_map, ranking, budget).units
    shares = [1 - after / before for before, after in units.values()]
    assert max(shares) - min(shares) < 0.2
    ranking.comparable = True
    units = make_plan(channel_map, ranking, budget).units
    shares = [1 - after / before for before, after in units.values()]
    assert max(shares) - min(shares) > 0.25


def test_which_rankings_compare(tmp_path):
    model = models.build(models.chain)
    x = models.images(model, 8)
    for criterion, comparable in (("l1_norm", False), ("reconstruction", True)):
        ranking = BaselineRanker(criterion).rank(model, x, verbose=0)
        ranking.save(tmp_path / "ranking.json")
        assert ranking.comparable is comparable
        assert Ranking.load(tmp_path / "ranking.json").comparable is comparable


def test_global_budgets_go_by_what_leaving_costs_after_the_others():
    channel_map = trace_channels(models.build(models.chain))
    ranking = _scores(
        channel_map,
        conv1=np.arange(1, 9) * 1e-6,  # worth little while the others are there
        conv2=np.arange(1, 13) * 1e-3,
        dense1=np.arange(1, 11) * 1e-3,
    )
    budget = PruningBudget(0.3, scope="global")
    assert make_plan(channel_map, ranking, budget).units["conv1"] == (8, 1)
    costs = np.array([1e-6] * 3 + [1.0] * 5)
    groups = dict(ranking)
    groups["conv1"] = dataclasses.replace(groups["conv1"], removal_costs=costs)
    known = Ranking(groups, "known", 1)
    assert make_plan(channel_map, known, budget).units["conv1"] == (8, 5)


def test_a_budget_in_the_place_of_a_ratio():
    model = models.build(models.chain)
    ranking = _scores(trace_channels(model))
    budget = PruningBudget(0.4, "params", ignore="dense1")
    plan = plan_pruning(model, ranking, budget)
    assert plan.budget is budget
    np.testing.assert_array_equal(
        plan.keep, plan_pruning(model, ranking, 0.4, of="params", ignore="dense1").keep
    )


def test_a_typo_names_the_function():
    model = models.build(models.chain)
    ranking = _scores(trace_channels(model))
    with pytest.raises(TypeError, match=r"^plan_pruning\(\) got .* argument 'scop'"):
        plan_pruning(model, ranking, 0.5, scop="global")
