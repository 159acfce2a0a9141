"""Tests of what a ranking is said to cost before it is run."""

import collections
import sys
import types

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.rank.estimators import (
    ClosedFormPermutation,
    Gradient,
    Permutation,
)
from keras_shapley_prune.rank.games import Loss, Reconstruction
from keras_shapley_prune.rank.ranking_plan import GroupCost, RankingPlan, profile_calls
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


def _both(model, data, *game_and_estimator, ratio=0.5, layers=None, **arguments):
    ranker = ShapleyRanker(*game_and_estimator, batch_size=4, **arguments)
    chosen = {"layers": layers, "ratio": ratio}
    return (
        ranker.plan(model, data, **chosen),
        ranker.rank(model, data, verbose=0, **chosen),
    )


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    ("game", "estimator", "arguments"),
    [
        ("loss", Permutation(3), {}),
        ("loss", "shared_permutation", {}),
        ("loss", Gradient(2), {}),
        ("loss", "exact", {}),
        ("loss", "corrected_gradient", {}),
        ("loss", Permutation(window=0.5), {"stages": 3}),
        ("loss", Permutation(window=0.3), {"stages": "units"}),
        (Loss(replacement="mean"), Permutation(window=0.5), {}),
        ("kl", Permutation(window=0.5), {"stages": 2, "sequential": True}),
        (Reconstruction(candidates=None), None, {"stages": 1}),
        ("reconstruction", None, {}),
        ("reconstruction", ClosedFormPermutation(2), {"stages": 3, "sequential": True}),
        (Reconstruction(candidates=1.5), None, {"stages": "units"}),
    ],
    ids=str,
)
def test_as_many_evaluations_as_planned(game, estimator, arguments):
    model, data = models.classifier(), models.labelled_images(6)
    chosen = None if "sequential" in arguments else "hidden"
    plan, ranking = _both(model, data, game, estimator, layers=chosen, **arguments)
    assert plan.evaluations == ranking.num_evaluations
    assert plan.method == ranking.method
    assert plan.num_examples == ranking.num_examples == 6
    for cost in plan.groups:
        assert cost.evaluations == ranking[cost.name].num_evaluations
        assert cost.num_units == len(ranking[cost.name].values)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.9])
def test_the_ratio_decides_how_many_stages_are_played(ratio):
    model, data = models.classifier(), models.labelled_images(6)
    plan, ranking = _both(model, data, "loss", ratio=ratio, layers="hidden", stages=4)
    assert plan.evaluations == ranking.num_evaluations
    legs = {0.0: [8], 0.25: [8], 0.9: [8, 6, 4, 2]}[ratio]
    assert plan.evaluations == 6 * sum(units + 1 for units in legs)


def test_a_group_of_several_readers_is_played_once():
    model = models.build(models.residual)
    ranker = Reconstruction(candidates=None), ClosedFormPermutation(2)
    plan, ranking = _both(
        model, models.images(model, 4), *ranker, layers="stem", stages=1
    )
    assert ranking.num_evaluations == 2 * 2 * 8
    assert plan.evaluations == ranking.num_evaluations


def test_flops_are_those_of_the_suffix():
    model = models.build(models.residual)
    x = models.images(model, 4)
    plan = ShapleyRanker("kl").plan(model, x)
    channel_map = trace_channels(model)
    assert {cost.name for cost in plan.groups} == {g.name for g in channel_map.groups}
    for cost in plan.groups:
        (group,) = [g for g in channel_map.groups if g.name == cost.name]
        calls = Suffix(channel_map, group).calls
        assert cost.flops == cost.evaluations * sum(map(count_call_flops, calls))
        assert cost.flops > 0
    assert plan.flops == sum(cost.flops for cost in plan.groups)
    assert plan.seconds == pytest.approx(sum(cost.seconds for cost in plan.groups))
    assert min(cost.seconds for cost in plan.groups) > 0


def test_groups_are_planned_in_the_order_of_play():
    plan = ShapleyRanker("loss").plan(models.classifier(), models.labelled_images(4))
    assert [cost.name for cost in plan.groups] == ["conv", "hidden"]


def test_planning_reads_the_data_once():
    reads = []

    def batches():
        reads.append(True)
        yield models.labelled_images(4)

    ShapleyRanker("loss").plan(models.classifier(), batches())
    assert len(reads) == 1


@pytest.mark.parametrize("game", ["kl", "reconstruction"])
def test_it_prints_every_group(game):
    model = models.build(models.residual)
    plan = ShapleyRanker(game).plan(model, models.images(model, 4))
    first, head, *lines, total = str(plan).splitlines()
    assert first == f"{plan.method}: 4 examples"
    assert head.split() == ["group", "units", "evaluations", "GFLOPs", "seconds"]
    for line, cost in zip(lines, plan.groups, strict=True):
        name, units, evaluations, _, _ = line.split()
        assert (name, units) == (cost.name, str(cost.num_units))
        assert evaluations == f"{cost.evaluations:,}"
    assert total.split()[:3] == ["total", "30", f"{plan.evaluations:,}"]
    assert len({len(line) for line in (head, *lines, total)}) == 1  # columns line up


def test_unknown_sizes():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Conv2D(1, 1, name="pixels")(x)
    model = keras.Model(inputs, x)
    plan = ShapleyRanker("kl").plan(model, np.ones((2, 6, 6, 3)))
    assert plan.flops is None
    assert plan.groups[0].flops is None
    assert plan.evaluations == 2 * 5
    assert [line.split()[3] for line in str(plan).splitlines()[2:]] == ["?", "?"]


def test_one_unknown_size_makes_the_sum_unknown():
    groups = (GroupCost("a", 4, 10, 10**9, 1.0), GroupCost("b", 2, 5, None, 2.0))
    plan = RankingPlan("Values", 3, groups)
    assert plan.flops is None
    assert plan.evaluations == 15
    assert plan.seconds == 3
    lines = [line.split() for line in str(plan).splitlines()[2:]]
    assert lines == [
        ["a", "4", "10", "1.0", "1.0"],
        ["b", "2", "5", "?", "2.0"],
        ["total", "6", "15", "?", "3.0"],
    ]


def test_every_call_is_timed(monkeypatch):
    """The fastest of three runs, for one example: by a clock that the calls move."""
    model = models.build(models.branches)
    graph = record_graph(model)
    module = sys.modules[profile_calls.__module__]
    clock, runs, run_calls = [0.0], collections.Counter(), module.run_calls

    def run(calls, values):
        for call in calls:
            clock[0] += (call.index + 1) * [9, 2, 4][runs[call.index]]
            runs[call.index] += 1
        return run_calls(calls, values)

    monkeypatch.setattr(module, "run_calls", run)
    fake = types.SimpleNamespace(perf_counter=lambda: clock[0])
    monkeypatch.setattr(module, "time", fake)
    seconds = profile_calls(graph, [models.images(model, 2)])
    assert seconds == {call.index: call.index + 1 for call in graph.calls}
