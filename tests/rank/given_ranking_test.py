"""Tests of a ranking in the place of a ranker."""

import warnings

import models
import numpy as np
import pytest

from keras_shapley_prune import PruningBudget, ShapleyRanker, prune, trace_channels
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.games import Reconstruction
from keras_shapley_prune.rank.given_ranking import GivenRanking, read_given
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking


@pytest.fixture(scope="module")
def model():
    return models.build(models.chain)


@pytest.fixture(scope="module")
def ranking(model):
    """Made for half of the units."""
    return ShapleyRanker().rank(model, models.images(model, 16), verbose=0)


def warned(model, ranking, budget):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        GivenRanking(ranking).check(trace_channels(model), budget)
    return [str(one.message) for one in caught]


def test_it_is_ranked_once(model, ranking, tmp_path):
    images = models.images(model, 16)
    ranking.save(tmp_path / "ranking.json")
    expected = prune(model, images, 0.5, verbose=0)
    for ranker in (ranking, tmp_path / "ranking.json", str(tmp_path / "ranking.json")):
        pruned = prune(model, images, 0.5, ranker=ranker, verbose=0)
        for ours, theirs in zip(pruned.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_ranking_suits_the_budget_that_it_was_made_for(model, ranking):
    assert warned(model, ranking, PruningBudget(0.5)) == []
    assert warned(model, ranking, PruningBudget(0.25)) == []
    weights = BaselineRanker("l1_norm").rank(model)  # looks at all units
    assert warned(model, weights, PruningBudget(0.9, scope="global")) == []


def test_a_deeper_cut_than_was_ranked_for_is_told(model, ranking):
    (deeper,) = warned(model, ranking, PruningBudget(0.9))
    assert "that has looked at " in deeper and "Rank with `ratio=0.9`" in deeper


def test_costs_of_another_scope_are_told(model):
    images, told = models.images(model, 16), "made for `scope='layer'`"
    for costs in ("readers", "outputs"):
        ranker = ShapleyRanker(Reconstruction(costs=costs))
        deep = ranker.rank(model, images, ratio=0.95, verbose=0)
        found = warned(model, deep, PruningBudget(0.5, scope="global"))
        assert [told in text for text in found] == [True] * (costs == "readers")


def test_groups_that_are_not_in_it_are_told(model, ranking):
    first, *others = ranking
    part = Ranking({first: ranking[first]}, "part", 16)
    (missing,) = warned(model, part, PruningBudget(0.5))
    assert f"without these groups, which lose nothing: {others[0]}" in missing


def test_a_ranking_of_other_layers_is_refused(model, ranking):
    first, second = list(ranking)[:2]
    part = Ranking({first: ranking[first]}, "part", 16)
    given, budget = GivenRanking(part), PruningBudget(0.5, layers=second)
    with pytest.raises(ValueError, match=f"lose units: .'{second}'.*of .'{first}'"):
        given.check(trace_channels(model), budget)


def test_a_ranking_of_another_model_is_refused(model, ranking):
    scores = GroupScores(np.zeros(3), np.zeros(3), 1)
    for other in ({"other": scores}, {next(iter(ranking)): scores}):
        given = GivenRanking(Ranking(other, "m", 1))
        with pytest.raises(ValueError, match="Argument `ranker` should score"):
            given.check(trace_channels(model), PruningBudget())


def test_what_is_no_ranking(tmp_path):
    for other in (None, "l1_norm", "shapley", 3, {"conv": [1]}):
        assert read_given(other) is None
    with pytest.raises(
        ValueError, match=r"Received: ranker='none\.json', which does not"
    ):
        read_given("none.json")
    (tmp_path / "a.txt").write_text("{}")
    with pytest.raises(ValueError, match="Argument `ranker` should name a file that"):
        read_given(tmp_path / "a.txt")
