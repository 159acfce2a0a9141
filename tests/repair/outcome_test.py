"""Tests of the lines that say what pruning has cost."""

import re
import warnings

import keras
import models
import pytest

import keras_shapley_prune as ksp
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.repair.agreement import Agreement
from keras_shapley_prune.repair.outcome import Outcome, measure_outcome, tell_outcome
from keras_shapley_prune.repair.sample import read_sample


@pytest.fixture(scope="module")
def model():
    return models.build(models.chain)


def outcome_of(model, ratio=0.5, repair="least_squares", **budget):
    ranking = ksp.BaselineRanker("l1_norm").rank(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such a small network misses budgets
        plan = ksp.plan_pruning(model, ranking, ratio, **budget)
    pruned = ksp.remove_channels(model, plan.keep)
    sample = read_sample(models.images(model, 16), plan.channel_map.graph)
    args = model, plan, pruned, sample, {}, repair, Progress(0)
    return measure_outcome(*args), pruned


def test_parameters_and_flops_are_those_of_the_networks(model):
    outcome, pruned = outcome_of(model)
    assert outcome.parameters == (model.count_params(), pruned.count_params())
    assert outcome.flops == (ksp.count_flops(model), ksp.count_flops(pruned))
    budget, parameters, flops, agreement = str(outcome).splitlines()
    assert budget == "asked: 50.0% of the units, layer scope; reached: 50.0%"
    assert f"→ {pruned.count_params():,} (-" in parameters
    assert flops.endswith("%)")  # half of them, about, as was asked of the units
    assert agreement.endswith("of 16 varied images")


def test_the_default_removes_more_flops_than_units():
    """It says so, and how to ask for them."""
    parts = [keras.layers.Conv2D(8, 3, padding="same") for _ in range(3)]
    end = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    outcome, _ = outcome_of(keras.Sequential([keras.Input((8, 8, 3)), *parts, *end]))
    before, after = outcome.flops
    assert after < 0.35 * before
    _, _, flops, *_ = str(outcome).splitlines()
    assert flops.endswith(f'({after / before - 1:.1%}); of="flops" removes 50%')


@pytest.mark.parametrize("budget", [{"of": "flops"}, {"ratio": {"*": 0.5}}])
def test_who_asks_for_something_else_is_not_told_how_to(model, budget):
    outcome, _ = outcome_of(model, **budget)
    assert "removes" not in str(outcome)


def test_metrics_are_told_with_their_data():
    metrics = {"accuracy": (0.9, 0.85), "top_5": (1.0, 1.0)}
    data = "on 64 examples that it was fitted to"
    *_, accuracy, top = str(
        Outcome("", (9, 4), (9, None), metrics=metrics, data=data)
    ).splitlines()
    assert accuracy == f"accuracy    0.9000 → 0.8500 (-0.0500) {data}"
    assert top.startswith("top_5       1.0000 → 1.0000")


@pytest.mark.parametrize("is_repaired", [True, False])
def test_only_what_was_repaired_is_expected_to_agree(is_repaired, capsys):
    agreement = Agreement(0.1, 10, 24, "varied images")
    outcome = Outcome("", (9, 4), (9, 4), agreement=agreement, is_repaired=is_repaired)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell_outcome(outcome, verbose=0)
    assert len(caught) == is_repaired
    assert capsys.readouterr().out == ""
    if not is_repaired:
        tell_outcome(outcome, verbose=1)
        assert "agrees with the original on 10% of 24" in capsys.readouterr().out


def test_a_plan_that_was_read_has_no_budget(model, tmp_path):
    ranking = ksp.BaselineRanker("l1_norm").rank(model)
    plan = ksp.plan_pruning(model, ranking, 0.5)
    plan.save(tmp_path / "plan.json")
    loaded = ksp.PruningPlan.load(tmp_path / "plan.json", model)
    before, after = plan.costs["units"]
    assert loaded.describe_budget() == f"removed: {1 - after / before:.1%} of the units"
    dicts = ksp.plan_pruning(model, ranking, {"*": 0.5}).describe_budget()
    assert dicts.startswith("asked: {'*': 0.5}, ")
    assert len(dicts) <= 80
    many = dict.fromkeys([plan.channel_map.groups[0].name, *"abcdefghijklm"], 0.5)
    long = ksp.PruningPlan(
        plan.channel_map, plan.num_kept, {}, ksp.PruningBudget(many)
    ).describe_budget()
    pattern = r"asked: \d+\.\d% of the units of these layers; reached: \d+\.\d%"
    assert re.fullmatch(pattern, long)


def test_no_line_is_wider_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    agreement = Agreement(1.0, None, 24, "examples that it was fitted to")
    metrics = {"sparse_categorical_accuracy": (0.5, 0.5)}
    on = "on 64 examples that it was fitted to"
    lines = str(Outcome("", (2, 1), (2, 1), "", agreement, metrics, on)).splitlines()
    assert max(map(len, lines)) <= 50
    assert " ".join(map(str.strip, lines)).endswith(on)
