"""Tests of what a ranking is said to cost before it is run."""

import time

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
from keras_shapley_prune.rank.ranking_cost import GroupCost, RankingCost, profile_calls
from keras_shapley_prune.rank.sampled import sampler
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


def _both(model, data, *game_and_estimator, ratio=0.5, layers=None, **arguments):
    ranker = ShapleyRanker(*game_and_estimator, batch_size=4, **arguments)
    chosen = {"layers": layers, "ratio": ratio}
    return (
        ranker.estimate_cost(model, data, **chosen),
        ranker.rank(model, data, verbose=0, **chosen),
    )


@pytest.mark.sweep(1)
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


@pytest.mark.sweep(1)
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
    plan = ShapleyRanker("kl").estimate_cost(model, x)
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
    plan = ShapleyRanker("loss").estimate_cost(
        models.classifier(), models.labelled_images(4)
    )
    assert [cost.name for cost in plan.groups] == ["conv", "hidden"]


def test_planning_reads_the_data_once():
    reads = []

    def batches():
        reads.append(True)
        yield models.labelled_images(4)

    ShapleyRanker("loss").estimate_cost(models.classifier(), batches())
    assert len(reads) == 1


@pytest.mark.parametrize("game", ["kl", "reconstruction"])
def test_it_prints_every_group(game):
    model = models.build(models.residual)
    plan = ShapleyRanker(game).estimate_cost(model, models.images(model, 4))
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
    plan = ShapleyRanker("kl").estimate_cost(model, np.ones((2, 6, 6, 3)))
    assert plan.flops is None
    assert plan.groups[0].flops is None
    assert plan.evaluations == 2 * 5
    assert [line.split()[3] for line in str(plan).splitlines()[2:]] == ["?", "?"]


def test_one_unknown_size_makes_the_sum_unknown():
    groups = (GroupCost("a", 4, 10, 10**9, 1.0), GroupCost("b", 2, 5, None, 2.0))
    plan = RankingCost("Values", 3, groups)
    assert plan.flops is None
    assert plan.evaluations == 15
    assert plan.seconds == 3
    lines = [line.split() for line in str(plan).splitlines()[2:]]
    assert lines == [
        ["a", "4", "10", "1.0", "1.0"],
        ["b", "2", "5", "?", "2.0"],
        ["total", "6", "15", "?", "3.0"],
    ]


# --- seconds ---------------------------------------------------------------------


def test_a_call_takes_longer_the_more_it_computes():
    inputs = keras.Input((16, 16, 8))
    x = layers.ReLU()(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(64, 3, padding="same", name="conv")(x)
    graph = record_graph(keras.Model(inputs, x))
    seconds = profile_calls(graph, [np.ones((32, 16, 16, 8))])
    assert sorted(seconds) == [0, 1, 2]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_more_examples_take_as_many_times_longer(monkeypatch):
    # Without what is compiled, which all examples share.
    monkeypatch.setattr(sampler, "time_tracing", lambda graph, inputs: 0.0)
    model, ranker = models.classifier(), ShapleyRanker("loss", batch_size=4)
    few, many = (
        ranker.estimate_cost(model, models.labelled_images(count)).seconds
        for count in (4, 16)
    )
    assert many == pytest.approx(4 * few, rel=1e-6)


def test_to_compile_counts_once_for_each_network_in_a_step(monkeypatch):
    model, data, found = models.classifier(), models.labelled_images(4), {}
    for tracing in (0.0, 1.0):
        monkeypatch.setattr(sampler, "time_tracing", lambda *_, t=tracing: t)
        for estimator in (Gradient(), Gradient(window=0.5)):
            plan = ShapleyRanker("loss", estimator).estimate_cost(model, data)
            found[tracing, estimator] = plan.seconds
    channel_map = trace_channels(model)
    suffixes = [Suffix(channel_map, group) for group in channel_map.groups]
    more = found[1.0, Gradient()] - found[0.0, Gradient()]
    less = found[1.0, Gradient(window=0.5)] - found[0.0, Gradient(window=0.5)]
    # The ends of the density are not evaluated in a window.
    assert more - less == pytest.approx(sum(len(s.calls) for s in suffixes))


@pytest.mark.parametrize("game", ["loss", "reconstruction"])
def test_the_seconds_of_the_groups_add_up(game):
    plan = ShapleyRanker(game).estimate_cost(
        models.classifier(), models.labelled_images(8)
    )
    assert plan.seconds == pytest.approx(sum(cost.seconds for cost in plan.groups))
    assert min(cost.seconds for cost in plan.groups) > 0


def test_a_layer_with_many_columns_has_those_of_its_channels():
    found = []
    for num_channels in (260, 270):  # 2,340 columns, and 2,430: too many
        model = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                layers.Conv2D(num_channels, 1, name="wide"),
                layers.Conv2D(8, 3, name="reader"),
            ]
        )
        plan = ShapleyRanker().estimate_cost(
            model, models.images(model, 4), layers="wide"
        )
        found.append(plan.flops)
    # A ninth of the columns, in products of three of them.
    assert found[1] < found[0] / 9**2


def test_columns_of_other_groups_are_dropped_before_stages():
    inputs = keras.Input((4, 4, 3))
    few, many = (layers.Conv2D(n, 1, name=f"of_{n}")(inputs) for n in (2, 198))
    outputs = layers.Conv2D(8, 1)(layers.Concatenate()([few, many]))
    model = keras.Model(inputs, outputs)
    plan = ShapleyRanker().estimate_cost(model, models.images(model, 1), layers="of_2")
    # The inverse alone counts three times the third power.
    assert 3 * 200**3 < plan.flops < 3.8 * 200**3


@pytest.mark.parametrize("costs", ["readers", "outputs"])
def test_what_comes_after_all_groups_is_planned(costs):
    model, data = models.classifier(), models.labelled_images(20)
    groups = (
        ShapleyRanker(Reconstruction(costs=costs)).estimate_cost(model, data).groups
    )
    for cost in groups:
        assert (cost.later_seconds > 0) == (costs == "outputs")
        assert cost.later_seconds < cost.seconds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "estimator"),
    [
        ("reconstruction", None),
        (Reconstruction(costs="outputs"), None),
        ("loss", "permutation"),
        ("kl", "gradient"),
    ],
)
def test_it_takes_about_as_long_as_planned(game, estimator):
    # Loosely, for other programs may run: the benchmarks show how near it is.
    model, data = models.classifier(), models.labelled_images(256)
    ranker = ShapleyRanker(game, estimator)
    planned = ranker.estimate_cost(model, data).seconds
    start = time.perf_counter()
    ranker.rank(model, data, verbose=0)
    assert 1 / 6 < planned / (time.perf_counter() - start) < 6


def test_attention_over_a_length_that_is_open():
    """Its scores have as many columns as there are positions: nobody knows yet."""
    inputs = keras.Input((None, 4))
    q, k, v = (layers.Dense(6, name=name)(inputs) for name in "qkv")
    scores = keras.ops.matmul(q, keras.ops.transpose(k, (0, 2, 1)))
    x = keras.ops.matmul(keras.ops.softmax(scores), v)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    x = np.random.default_rng(0).normal(size=(8, 5, 4)).astype("float32")
    ranking = ShapleyRanker().rank(model, x, verbose=0)
    assert all(np.isfinite(scores.values).all() for scores in ranking.values())
    assert len(ranking) == len(trace_channels(model).groups)
