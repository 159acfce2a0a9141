"""Tests of plans: what they say, how they are changed, saved and replayed."""

import json

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import BaselineRanker, plan_pruning
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.pruning import apply_plan
from keras_shapley_prune.trace.tracer import trace_channels

ORDER = {"conv1": [7, 6, 5, 4, 3, 2, 1, 0], "conv2": list(range(12))}


@pytest.fixture(scope="module")
def model():
    return models.build(models.chain)  # conv1 8, conv2 12, dense1 10


@pytest.fixture
def plan(model):
    return PruningPlan(trace_channels(model), {"conv1": 5, "conv2": 4}, ORDER)


def test_what_stays(plan):
    groups = {group.name: group.units for group in plan.channel_map.groups}
    assert plan.units == {"conv1": (8, 5), "conv2": (12, 4)}
    assert plan.keep[groups["conv1"]].tolist() == 5 * [True] + 3 * [False]
    assert plan.keep[groups["conv2"]].tolist() == 8 * [False] + 4 * [True]
    assert plan.keep[groups["dense1"]].all()


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", [models.chain, models.nested, models.recurrent])
def test_costs_are_those_of_the_pruned_model(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    kept = {g.name: -(-g.num_units // 2) for g in channel_map.groups}
    plan = PruningPlan(channel_map, kept, {})
    pruned = apply_plan(model, plan, models.inputs_of(model), repair=None)
    assert plan.costs["params"] == (model.count_params(), pruned.count_params())
    assert plan.costs["flops"] == (count_flops(model), count_flops(pruned))


def test_it_prints(model, plan):
    text = str(plan)
    assert "conv1" in text and "8 →      5" in text
    assert f"{model.count_params():,} → " in text
    assert "asked" not in text
    budget = PruningBudget(0.5, "params", "global")
    asked = str(PruningPlan(plan.channel_map, {"conv1": 5}, ORDER, budget))
    reached = 1 - plan.resize({"conv2": 12}).costs["params"][1] / model.count_params()
    assert f"asked: 50.0% of the params, global scope; reached: {reached:.1%}" in asked
    budget = PruningBudget({"conv1": 0.5})
    by_layer = str(PruningPlan(plan.channel_map, {"conv1": 4}, ORDER, budget))
    assert "{'conv1': 0.5}" in by_layer


def test_round_trip(tmp_path, model, plan):
    plan.save(tmp_path / "plan.json")
    again = PruningPlan.load(tmp_path / "plan.json", model)
    np.testing.assert_array_equal(again.keep, plan.keep)
    assert again.units == plan.units
    assert again.costs == plan.costs


def test_a_number_edited_by_hand(tmp_path, model, plan):
    path = tmp_path / "plan.json"
    plan.save(path)
    lines = path.read_text().splitlines()
    (line,) = [n for n, text in enumerate(lines) if '"conv1"' in text]
    lines[line] = lines[line].replace('"num_kept": 5', '"num_kept": 2')
    path.write_text("\n".join(lines))
    edited = PruningPlan.load(path, model)
    assert edited.units == {"conv1": (8, 2), "conv2": (12, 4)}
    pruned = apply_plan(model, edited, models.images(model, 8))
    assert pruned.get_layer("conv1").filters == 2
    assert edited.costs["params"][1] == pruned.count_params()
    assert edited.costs["params"] != plan.costs["params"]
    np.testing.assert_array_equal(edited.keep, plan.resize({"conv1": 2}).keep)


def test_a_plan_of_another_model(tmp_path, plan):
    plan.save(tmp_path / "plan.json")
    other = models.build(models.residual)
    for use in (
        lambda: PruningPlan.load(tmp_path / "plan.json", other),
        lambda: apply_plan(other, plan, models.images(other, 4)),
    ):
        with pytest.raises(
            ValueError, match=r"plan of this very model|model of the plan"
        ):
            use()


def test_another_file(tmp_path, model):
    for content in ({}, {"format": "x"}, [1]):
        (tmp_path / "plan.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"`PruningPlan\.save` wrote"):
            PruningPlan.load(tmp_path / "plan.json", model)


@pytest.mark.parametrize("num_kept", [0, 9, -1, 2.0, True, None])
def test_bad_numbers(plan, num_kept):
    with pytest.raises(ValueError, match="between 1 and 8 units of 'conv1'") as info:
        plan.resize({"conv1": num_kept})
    assert f"Received: {num_kept!r}" in str(info.value)


def test_bad_groups_and_orders(plan):
    with pytest.raises(ValueError, match=r"groups of the plan.*Received: \['dense1'\]"):
        plan.resize({"dense1": 4})
    with pytest.raises(ValueError, match=r"groups of the model.*Received: \['x'\]"):
        PruningPlan(plan.channel_map, {"x": 4}, {})
    with pytest.raises(ValueError, match="order the 8 units of 'conv1', each once"):
        PruningPlan(plan.channel_map, {"conv1": 4}, {"conv1": [0, 1, 2, 3, 4, 5, 6, 6]})


def test_unknown_sizes():
    import keras
    from keras import layers

    steps = [layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((None, None, 3)), *steps])
    channel_map = trace_channels(model)
    plan = PruningPlan(channel_map, {channel_map.groups[0].name: 2}, {})
    assert plan.costs["flops"] == (None, None)
    assert "FLOPs" in str(plan) and "unknown" in str(plan)


def test_sizes_that_are_given_go_with_the_plan(tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 3, name="first")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    ranking = BaselineRanker("l1_norm").rank(model, None, verbose=0)
    plan = plan_pruning(model, ranking, 0.5, of="flops", input_shape=(9, 7, 3))
    whole, after = plan.costs["flops"]
    assert whole == count_flops(model, (9, 7, 3))
    assert abs(after / whole - 0.5) < 0.07
    assert "for image of (9, 7, 3)" in str(plan)
    plan.save(tmp_path / "plan.json")
    loaded = PruningPlan.load(tmp_path / "plan.json", model)
    assert loaded.costs == plan.costs == plan.bind(model).costs
    other = PruningPlan.load(tmp_path / "plan.json", model, input_shape=(5, 5, 3))
    assert other.costs["flops"][0] == count_flops(model, (5, 5, 3))
    with pytest.raises(ValueError, match=r"`input_shape` says for which.*'image'"):
        plan_pruning(model, ranking, 0.5, of="flops")
