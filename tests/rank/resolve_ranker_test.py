"""Tests of from what is given as a ranker to the ranker."""

import pytest

from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES, BaselineRanker
from keras_shapley_prune.rank.games import Reconstruction
from keras_shapley_prune.rank.resolve_ranker import RANKER_NAMES, resolve_ranker
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker


@pytest.mark.parametrize("given", [None, "shapley"])
@pytest.mark.parametrize(
    ("scope", "settings"),
    [
        ("layer", {}),
        ("global", {"horizon": 0.25, "num_copies": 2, "costs": "outputs"}),
    ],
)
def test_the_default(given, scope, settings):
    ranker = resolve_ranker(given, scope, seed=3)
    expected = ShapleyRanker(Reconstruction(**settings), seed=3)
    assert repr(ranker) == repr(expected)


@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_a_string_is_a_criterion(name):
    ranker = resolve_ranker(name, seed=4)
    assert isinstance(ranker, BaselineRanker)
    assert (ranker.criterion, ranker.seed) == (name, 4)
    assert name in RANKER_NAMES


def test_rankers_are_returned_as_they_are():
    class Own:
        def rank(self, *args, **kwargs):
            raise AssertionError

    for ranker in (Own(), ShapleyRanker("kl"), BaselineRanker("taylor")):
        assert resolve_ranker(ranker, "global", seed=9) is ranker


@pytest.mark.parametrize("given", ["l1", "", 3, True, ShapleyRanker, ["l1_norm"]])
def test_what_is_no_ranker(given):
    with pytest.raises(ValueError, match="'shapley', 'random', 'l1_norm'") as info:
        resolve_ranker(given)
    assert f"Received: ranker={given!r}" in str(info.value)
