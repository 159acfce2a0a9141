"""Tests of plans for a latency, by clocks of which all is known."""

import json

import numpy as np
import pytest
from bars import check_whole, labels_of
from clocks import SteppedClock, build_residual, linear_clock

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.plan.planner import Planner


@pytest.fixture(scope="module")
def model():
    """A residual network of 32 filters."""
    return build_residual(width=32)


class CountingClock:
    """Is `linear_clock`, and counts."""

    num_calls = 0

    def __call__(self, model):
        self.num_calls += 1
        return linear_clock(model)


@pytest.fixture(scope="module")
def ranking(model):
    """Its filters by their norms."""
    return ksp.BaselineRanker("l1_norm").rank(model)


@pytest.fixture(scope="module")
def table(model):
    """Its table."""
    return ksp.measure_latency_table(model, linear_clock)


def shares(plan):
    """Returns what of the time is kept, predicted and measured."""
    pairs = plan.latency.predicted, plan.latency.measured
    return [after / before for before, after in pairs if before]


@pytest.fixture(scope="module")
def planner(model):
    """Makes plans by a function that is no clock."""
    return Planner(model, ksp.trace_channels(model), budget_of(0.5, linear_clock))


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_what_is_asked_is_met(model, ranking, planner, scope, ratio):
    budget = ksp.PruningBudget(ratio, "latency", scope, target=linear_clock)
    plan = planner.plan(ranking, budget)
    predicted, measured = shares(plan)
    assert measured == pytest.approx(1 - ratio, rel=0.05)
    assert predicted == pytest.approx(measured, rel=0.05)
    pruned = ksp.apply_plan(model, plan, repair=None, verify=False, verbose=0)
    ours = linear_clock(pruned) / linear_clock(model)
    assert ours == pytest.approx(measured, rel=1e-6)


def test_what_is_predicted_wrong_is_corrected(model, ranking, table):
    # Whole networks take what their pieces do not let expect: half of it comes back.
    def clock(network):
        seconds, whole = linear_clock(network), linear_clock(model)
        return seconds + 0.3 * (whole - seconds)

    channel_map, budget = ksp.trace_channels(model), budget_of(0.3, table)
    planner = Planner(model, channel_map, budget)
    planner._timer = ModelTimer(model, clock, channel_map.graph)
    plan = planner.plan(ranking, budget)
    predicted, measured = shares(plan)
    assert measured == pytest.approx(0.7, rel=0.03)
    assert predicted < 0.6
    assert plan.budget == budget


def budget_of(ratio, target):
    """Returns a `PruningBudget` of latency."""
    return ksp.PruningBudget(ratio, "latency", target=target)


def test_a_table_of_another_machine_is_predicted_only(model, ranking, table, tmp_path):
    table.save(tmp_path / "table.json")
    for target in (table, tmp_path / "table.json", str(tmp_path / "table.json")):
        plan = ksp.plan_pruning(model, ranking, 0.5, of="latency", target=target)
        assert plan.latency.measured is None
        assert shares_predicted(plan) == pytest.approx(0.5, abs=0.03)


def shares_predicted(plan):
    """Returns what of the time is kept as predicted."""
    before, after = plan.latency.predicted
    return after / before


def test_a_bar_of_what_is_timed_and_of_nothing_else(model, ranking, capsys):
    budget = {"of": "latency", "target": linear_clock}
    ksp.plan_pruning(model, ranking, 0.5, **budget)
    bar = capsys.readouterr().out
    check_whole(bar)
    labels = labels_of(bar)
    assert labels[0].startswith("compiling pieces, 1 of ")
    assert "timing the plan" in labels
    ksp.plan_pruning(model, ranking, 0.5, **budget, verbose=0)
    ksp.plan_pruning(model, ranking, 0.5)
    assert capsys.readouterr().out == ""


def test_text_and_file(model, ranking, table, tmp_path):
    plan = ksp.plan_pruning(model, ranking, 0.5, of="latency", target=table)
    assert "of the latency, layer scope; reached" in str(plan)
    assert "ms predicted; timed by" in str(plan).replace(
        " (-", "(-"
    ) or "predicted" in (str(plan))
    plan.save(tmp_path / "plan.json")
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["latency"]["predicted"] == list(plan.latency.predicted)
    loaded = ksp.PruningPlan.load(tmp_path / "plan.json", model)
    np.testing.assert_array_equal(loaded.keep, plan.keep)
    assert loaded.latency is None
    name = next(iter(plan.units))
    assert plan.resize({name: 32}).latency is None
    assert str(plan.resize({name: 32}))
    assert plan.bind(model).latency == plan.latency


@pytest.mark.filterwarnings("ignore:.*not")
def test_numbers_are_multiples_of_the_step_and_of_round_to(model, ranking):
    clock = SteppedClock(8)
    plan = ksp.plan_pruning(model, ranking, 0.5, of="latency", target=clock)
    assert all(kept % 8 == 0 or kept == 4 for _, kept in plan.units.values())
    plan = ksp.plan_pruning(
        model, ranking, 0.5, of="latency", target=clock, round_to=16
    )
    assert all(kept % 16 == 0 for _, kept in plan.units.values())


def test_more_than_can_be_removed(model, ranking, table):
    with pytest.raises(ValueError, match=r"at most 0\..* of the latency can be"):
        budget = {"of": "latency", "target": table, "min_units": 16}
        ksp.plan_pruning(model, ranking, 0.95, **budget)


def test_times_that_do_not_fall(model, ranking):
    budget = {"of": "latency", "target": lambda smaller: 0.01}
    with pytest.raises(ValueError, match=r"networks of any width take by .*lambda"):
        ksp.plan_pruning(model, ranking, 0.5, **budget)


def test_starting_operations_is_what_remains(model, ranking):
    def start(smaller):
        return 1e-3 * len(smaller.layers) + 1e-10 * ksp.count_flops(smaller)

    budget = {"of": "latency", "target": start}
    with pytest.raises(ValueError, match=r"start operations \(granularity='both'"):
        ksp.plan_pruning(model, ranking, 0.5, **budget)


def test_a_run_that_goes_on_has_the_same_plan(model, ranking):
    class Entry:
        """Keeps what is written."""

        content = None

        def read(self):
            return self.content

        def write(self, content):
            self.content = json.loads(json.dumps(content))

    entry, channel_map = Entry(), ksp.trace_channels(model)
    clock = SteppedClock(1)
    budget = budget_of(0.5, clock)
    plan = Planner(model, channel_map, budget).plan(ranking, budget, entry=entry)
    calls = clock.num_calls
    again = Planner(model, channel_map, budget).plan(ranking, budget, entry=entry)
    assert clock.num_calls == calls
    np.testing.assert_array_equal(again.keep, plan.keep)
    assert again.latency == plan.latency and again.budget == budget


def test_target_is_for_latency_only():
    with pytest.raises(ValueError, match="target"):
        ksp.PruningBudget(0.5, "flops", target="litert")
    with pytest.raises(ValueError, match="target"):
        ksp.PruningBudget(0.5, "latency", target="phone")


def test_prune_and_go_on(model, tmp_path):
    x = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    clock = CountingClock()
    options = {"of": "latency", "target": clock, "ranker": "l1_norm", "verbose": 0}
    pruned = ksp.prune(model, x, 0.5, checkpoint=tmp_path / "run", **options)
    share = linear_clock(pruned) / linear_clock(model)
    assert share == pytest.approx(0.5, rel=0.05)
    calls = clock.num_calls
    again = ksp.prune(model, x, 0.5, checkpoint=tmp_path / "run", **options)
    assert clock.num_calls == calls  # the plan has been kept
    for one, other in zip(pruned.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
