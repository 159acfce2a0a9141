"""Tests of how a budget is spread over the groups."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.plan.allocation import allocate
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture(scope="module")
def wide():
    """A network of units that are each less than 1 % of it."""
    keras.utils.set_random_seed(0)
    steps = [keras.Input((16, 16, 3))]
    for width in (64, 96, 128):
        steps += [layers.Conv2D(width, 3, strides=2, padding="same"), layers.ReLU()]
    steps += [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    return trace_channels(keras.Sequential(steps))


def _share(channel_map, kept, of):
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[: group.num_units - kept.get(group.name, 10**9)]] = False
    costs = CostModel(channel_map, of)
    return 1 - costs.count(keep) / costs.count(np.ones(channel_map.num_units, bool))


@pytest.mark.sweep(5)
@pytest.mark.parametrize("of", ["params", "flops", "bytes"])
@pytest.mark.parametrize("ratio", [0.05, 0.25, 0.5, 0.75, 0.9])
def test_every_layer_loses_the_same_share(wide, of, ratio):
    kept = allocate(wide, PruningBudget(ratio, of))
    assert abs(_share(wide, kept, of) - ratio) < 0.01
    left = [kept[group.name] / group.num_units for group in wide.groups]
    assert max(left) - min(left) < 0.03


@pytest.mark.parametrize("of", ["units", "params", "flops"])
@pytest.mark.parametrize("round_to", [1, 8])
def test_global_budgets_are_met(wide, of, round_to):
    generator = np.random.default_rng(0)
    orders = {g.name: generator.permutation(g.num_units) for g in wide.groups}
    losses = {g.name: np.sort(generator.random(g.num_units)) for g in wide.groups}
    budget = PruningBudget(0.5, of, "global", round_to=round_to)
    kept = allocate(wide, budget, orders, losses)
    assert abs(_share(wide, kept, of) - 0.5) < (0.01 if round_to == 1 else 0.05)
    assert all(size % round_to == 0 for size in kept.values())


def test_global_takes_what_is_worth_least_for_its_cost(wide):
    orders = {g.name: np.arange(g.num_units) for g in wide.groups}
    first = wide.groups[0].name
    losses = {
        g.name: np.full(g.num_units, 1e-6 if g.name == first else 1.0)
        for g in wide.groups
    }
    budget = PruningBudget(0.2, "flops", "global", min_units=4)
    kept = allocate(wide, budget, orders, losses)
    sizes = {group.name: group.num_units for group in wide.groups}
    assert kept[first] < sizes.pop(first)
    assert all(kept[name] == size for name, size in sizes.items())
    # Of equal worth, those that cost most leave.
    losses = {g.name: np.full(g.num_units, 1.0) for g in wide.groups}
    kept = allocate(wide, PruningBudget(0.1, "params", "global"), orders, losses)
    before = {group.name: group.num_units for group in wide.groups}
    prices = CostModel(wide, "params")
    lengths = prices.lengths(np.ones(wide.num_units, bool))
    saved = {
        g.name: prices.lengths_of(g.units[:1]) @ prices.prices(lengths)
        for g in wide.groups
    }
    dearest = max(saved, key=saved.get)
    lost = {name: before[name] - kept[name] for name in kept}
    assert lost[dearest] == max(lost.values()) > 0


def test_ratio_of_units_is_exact_in_each_layer(wide):
    kept = allocate(wide, PruningBudget(0.3))
    for group in wide.groups:
        assert group.num_units - kept[group.name] == int(0.3 * group.num_units + 0.5)


def test_ratios_by_pattern(wide):
    names = [group.name for group in wide.groups]
    kept = allocate(wide, PruningBudget({names[0]: 0.25, names[2]: 0.75}))
    assert kept == {names[0]: 48, names[2]: 32}


def test_multiples(wide):
    kept = allocate(wide, PruningBudget(0.45, round_to=8))
    assert list(kept.values()) == [32, 56, 72]
    kept = allocate(wide, PruningBudget(0.99, round_to=8))
    assert list(kept.values()) == [8, 8, 8]
    kept = allocate(wide, PruningBudget(0.99, min_units=30))
    assert list(kept.values()) == [30, 30, 30]


@pytest.mark.parametrize("of", ["params", "flops"])
def test_a_budget_out_of_reach(wide, of):
    budget = PruningBudget(0.9, of, layers=wide.groups[0].name)
    with pytest.raises(ValueError, match=r"`ratio` should be at most 0\.") as info:
        allocate(wide, budget)
    assert "Received: ratio=0.9" in str(info.value)
    kept = allocate(wide, budget, strict=False)
    assert list(kept.values()) == [1]


def test_steps_that_are_too_coarse_are_told(wide):
    budget = PruningBudget(0.1, "flops", round_to=64)
    with pytest.warns(UserWarning, match=r"removed, not 10\.0%"):
        kept = allocate(wide, budget)
    assert all(size % 64 == 0 or size == 96 for size in kept.values())


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.6])
def test_a_block_that_is_too_large_is_left_out(ratio):
    """Filters are removed in its place, though each of them is worth more."""
    x = inputs = keras.Input((8, 8, 8))
    x = layers.Conv2D(32, 3, padding="same")(layers.Conv2D(32, 3)(x))
    for _ in range(2):  # each has two fifths of the weights
        y = layers.Conv2D(64, 3, padding="same")(layers.ReLU()(x))
        x = layers.Add()([x, layers.Conv2D(32, 3, padding="same")(y)])
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))
    channel_map = trace_channels(model, granularity="both")
    groups = channel_map.groups
    orders = {g.name: np.arange(g.num_units) for g in groups}
    losses = {g.name: np.full(g.num_units, 0.01) for g in groups}
    kept = allocate(
        channel_map, PruningBudget(ratio, "params", "global"), orders, losses
    )
    assert _share(channel_map, kept, "params") == pytest.approx(ratio, abs=0.02)


@pytest.mark.filterwarnings("ignore:.*of the params are removed")
def test_filters_that_save_nothing_are_not_removed_for_a_block():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 1, name="small")(inputs)
    x = layers.Conv2D(64, 3, padding="same")(x)
    for _ in range(2):  # nearly all of the weights
        y = layers.ReLU()(x)
        x = layers.Add()([x, layers.Conv2D(64, 3, padding="same")(y)])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4)(x))
    channel_map = trace_channels(model, granularity="both")
    budget = PruningBudget(0.6, "params", "global", layers=["small", "blocks"])
    groups = budget.select_groups(channel_map)
    orders = {g.name: np.arange(g.num_units) for g in groups}
    losses = {g.name: np.full(g.num_units, 0.01) for g in groups}
    kept = allocate(channel_map, budget, orders, losses)
    assert kept["small"] >= 7 and kept["blocks"] == 1


@pytest.mark.sweep(3)
@pytest.mark.parametrize("builder", models.BUILDERS)
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_any_graph(builder, scope):
    channel_map = trace_channels(models.build(builder))
    groups = channel_map.groups
    orders = {g.name: np.arange(g.num_units) for g in groups}
    losses = {g.name: np.arange(g.num_units) / g.num_units for g in groups}
    budget = PruningBudget(0.3, "params", scope)
    kept = allocate(channel_map, budget, orders, losses, strict=False)
    assert all(1 <= kept[g.name] <= g.num_units for g in groups)
    coarsest = _largest_step(channel_map)
    assert abs(_share(channel_map, kept, "params") - 0.3) <= max(coarsest, 0.01)


def _largest_step(channel_map):
    costs = CostModel(channel_map, "params")
    whole = costs.lengths(np.ones(channel_map.num_units, bool))
    total = costs.total(whole)
    return max(
        1 - costs.total(whole - costs.lengths_of(group.units[:1])) / total
        for group in channel_map.groups
    )
