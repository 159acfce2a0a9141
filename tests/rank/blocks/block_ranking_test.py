"""Tests of rankings of blocks, and of budgets that are met by them."""

import block_models
import keras
import models
import numpy as np
import pytest

import keras_shapley_prune
from keras_shapley_prune import (
    BaselineRanker,
    PruningBudget,
    PruningPlan,
    Ranking,
    ShapleyRanker,
    games,
    plan_pruning,
    prune,
    trace_channels,
)


def _idle(model):
    """Makes the last block do nothing."""
    for weight in model.get_layer("c2_norm").weights[:2]:
        weight.assign(np.zeros(weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return _idle(models.fresh(block_models.chain_of_blocks))


@pytest.fixture(scope="module")
def images(model):
    return models.inputs_of(model, 24)


@pytest.mark.parametrize("game", ["reconstruction", "kl"])
def test_a_block_that_does_nothing_is_worth_nothing(model, images, game):
    channel_map = trace_channels(model, granularity="block")
    ranking = ShapleyRanker(game).rank(
        model, images, channel_map=channel_map, verbose=0
    )
    scores = ranking["blocks"]
    assert scores.order[0] == 2
    # A ReLU of what is positive already is the same again.
    assert abs(scores.values[2]) < 1e-4 * np.abs(scores.values).max()
    assert (scores.values[:2] > 0).all() or game == "kl"


def test_plan_and_files(model, images, tmp_path):
    channel_map = trace_channels(model, granularity="block")
    ranker = ShapleyRanker()
    planned = ranker.estimate_cost(model, images, channel_map=channel_map)
    ranking = ranker.rank(model, images, channel_map=channel_map, verbose=0)
    assert planned.groups[-1].evaluations == ranking["blocks"].num_evaluations
    ranking.save(tmp_path / "ranking.json")
    again = Ranking.load(tmp_path / "ranking.json")
    plan = plan_pruning(model, again, 0.3)  # it knows that blocks are meant
    assert plan.removed_blocks == ("c_add",)
    assert "removed blocks: c_add" in str(plan)
    plan.save(tmp_path / "plan.json")
    loaded = PruningPlan.load(tmp_path / "plan.json", model)
    np.testing.assert_array_equal(loaded.keep, plan.keep)
    assert loaded.costs == plan.costs
    text = (tmp_path / "plan.json").read_text().replace('["a_add"', '["z_add"')
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"the blocks of the model are .*'a_add'"):
        PruningPlan.load(tmp_path / "other.json", model)
    assert loaded.resize({"blocks": 0}).removed_blocks == ("a_add", "b_add", "c_add")


def test_a_ranking_of_filters_and_blocks(model, images):
    channel_map = trace_channels(model, granularity="both")
    ranker = ShapleyRanker()
    ranking = ranker.rank(model, images, channel_map=channel_map, verbose=0)
    plan = plan_pruning(model, ranking, 0.3, granularity="block")
    assert list(plan.units) == ["blocks"] and len(plan.removed_blocks) == 1
    scores = dict(ranking) | {"stem": ranking["blocks"]}
    with pytest.raises(ValueError, match="3 values for 'stem'"):
        plan_pruning(model, scores, 0.3, granularity="block")
    text = str(plan_pruning(model, ranking, 0.3))
    assert "reached: 3" in text and text.count("in a removed block") == 1


def test_prune_blocks(model, images):
    pruned = prune(model, images, 0.3, granularity="block", verbose=0)
    names = [layer.name for layer in pruned.layers]
    assert "c1" not in names and "b1" in names
    expected = models.outputs_of(model, images)
    assert (
        models.relative_difference(models.outputs_of(pruned, images), expected) < 1e-3
    )


@pytest.mark.filterwarnings("ignore:Expected a pruned network")
def test_all_blocks_go():
    x = inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(4, 3, padding="same")(x)])
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 3))
    pruned = prune(model, images, 0.5, granularity="block", verbose=0)
    assert len(pruned.layers) == 3  # the input, a convolution, the output


@pytest.mark.filterwarnings("ignore:.*of the flops are removed")
def test_prune_blocks_and_filters(model, images):
    budget = PruningBudget(
        0.5, of="flops", scope="global", ignore="a_add", granularity="both"
    )
    pruned = prune(model, images, budget, verbose=0)
    names = [layer.name for layer in pruned.layers]
    assert "c1" not in names and "a_add" in names
    whole = keras_shapley_prune.count_flops(model)
    assert abs(keras_shapley_prune.count_flops(pruned) / whole - 0.5) < 0.05


@pytest.mark.slow
def test_costs_are_in_one_currency(model, images):
    channel_map = trace_channels(model, granularity="both")
    for costs, comparable in (("outputs", True), ("readers", False)):
        ranker = ShapleyRanker(games.Reconstruction(costs=costs))
        ranking = ranker.rank(model, images, channel_map=channel_map, verbose=0)
        assert ranking.comparable == comparable
        known = ranking["blocks"].removal_costs
        assert (known is not None) == comparable
    assert known is None


def test_many_blocks_are_sampled(monkeypatch, model, images):
    monkeypatch.setattr("keras_shapley_prune.rank.blocks.block_ranking.MOST_EXACT", 2)
    channel_map = trace_channels(model, granularity="block")
    ranking = ShapleyRanker().rank(model, images, channel_map=channel_map, verbose=0)
    assert "16 walks" in ranking.method
    assert ranking["blocks"].order[0] == 2
    assert (ranking["blocks"].standard_errors[:2] > 0).all()


def test_ranking_goes_on(model, images, tmp_path):
    channel_map = trace_channels(model, granularity="block")

    def rank():
        options = {"channel_map": channel_map, "verbose": 0, "checkpoint": tmp_path}
        return ShapleyRanker(games.Reconstruction(costs="outputs")).rank(
            model, images, **options
        )["blocks"]

    assert rank().equals(rank())


@pytest.mark.parametrize("criterion", ["l1_norm", "apoz", "reconstruction"])
def test_criteria_of_filters(model, images, criterion):
    channel_map = trace_channels(model, granularity="block")
    with pytest.raises(ValueError, match=f"criterion='{criterion}'.*blocks"):
        BaselineRanker(criterion).rank(
            model, images, channel_map=channel_map, verbose=0
        )


@pytest.mark.parametrize("criterion", ["random", "leave_one_out"])
def test_other_criteria(model, images, criterion):
    channel_map = trace_channels(model, granularity="block")
    ranking = BaselineRanker(criterion, "kl").rank(
        model, images, channel_map=channel_map, verbose=0
    )
    assert len(ranking["blocks"].values) == 3


def test_patterns_name_single_blocks(model, images):
    channel_map = trace_channels(model, granularity="block")
    ranking = ShapleyRanker().rank(model, images, channel_map=channel_map, verbose=0)

    def removed(ratio, **options):
        return set(plan_pruning(model, ranking, ratio, **options).removed_blocks)

    assert removed(0.3, ignore="c_*") <= {"a_add", "b_add"}
    assert removed(0.3, layers=["a_add"]) == {"a_add"}
    with pytest.warns(UserWarning, match=r"layers=\['a_add'\] and ignore=None allow"):
        removed(0.7, layers=["a_add"])
    assert removed({"b_add": 0.3}) == {"b_add"}
    assert len(removed({"blocks": 0.7})) == 2
    assert removed(0.9) == {"a_add", "b_add", "c_add"}
    with pytest.raises(ValueError, match="'nothing'"):
        removed(0.3, ignore="nothing")
