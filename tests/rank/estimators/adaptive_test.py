"""Tests of draws that go to the units whose side of the cut is open."""

import keras
import models
import numpy as np
import pytest

from keras_shapley_prune.rank.estimators import Adaptive, Permutation
from keras_shapley_prune.rank.estimators.adaptive import Neighbours
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stopping import StopWhen
from keras_shapley_prune.rank.table import SampleTable

NUM_EXAMPLES = 96


@pytest.fixture(scope="module")
def problem():
    model = models.fresh(models.residual)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model, (models.images(model, NUM_EXAMPLES), np.arange(NUM_EXAMPLES) % 4)


def _rank(problem, estimator, layer="inner1", ratio=0.5, **arguments):
    ranker = ShapleyRanker("loss", estimator, **arguments)
    return ranker.rank(*problem, layers=layer, ratio=ratio, verbose=0)[layer]


def _table(samples):
    table = SampleTable(len(samples), samples.shape[1])
    table.add(np.arange(len(samples)), samples)
    return table


@pytest.mark.parametrize("size", [32, 30, 5])
def test_coalitions_of_the_others_have_every_size_alike(size):
    active, sizes = np.ones(5, bool), []
    for batch in range(4000 // size):
        inside = Neighbours().draw([0, 0, 0, 0, batch], size, active) % 2
        sizes.extend(inside[:, 1:].sum(axis=1))
    shares = np.bincount(sizes, minlength=5) / len(sizes)
    np.testing.assert_allclose(shares, 0.2, atol=0.025)


def test_only_active_units_are_sampled():
    active = np.array([True, False, True, False])
    drawn = Neighbours().draw([0, 0, 0, 0, 0], 40, active)
    counted = Neighbours().counted(drawn)
    np.testing.assert_array_equal(counted, np.tile(active, (40, 1)))
    # The others play along.
    assert set(drawn[:, 1]) == {0, 1}


def test_samples_are_what_a_unit_adds():
    """Of a game that is not additive, and that has no network."""

    class Values:
        fold = 2

        def __call__(self, coalitions, copies=1):
            weights = np.array([[1.0], [2], [4], [8]], "float32")
            return ((coalitions @ weights)[:, 0]) ** 2

    drawn = np.array([[3, 0, 3, 2], [2, 1, 2, 3]], "int32")
    samples = Neighbours().estimate(Values(), drawn).numpy()
    expected = [
        [5**2 - 4**2, None, 5**2 - 1, 13**2 - 5**2],
        [11**2 - 10**2, None, 14**2 - 10**2, 10**2 - 2**2],
    ]
    for row, wanted in zip(samples, expected, strict=True):
        for sample, value in zip(row, wanted, strict=True):
            assert value is None or sample == value


def test_units_near_the_cut_are_open():
    generator = np.random.default_rng(0)
    values = np.array([0, 1, 2, 2.1, 5, 9])
    # Their standard errors are a tenth.
    table = _table(values + generator.normal(size=(100, 6)))
    np.testing.assert_array_equal(
        Adaptive().find_open(table, 3), [False, False, True, True, False, False]
    )
    # Between 5 and 9 no side is open.
    assert not Adaptive().find_open(table, 5).any()


@pytest.mark.parametrize("num_removed", [0, 6])
def test_without_a_cut_all_units_are_open(num_removed):
    table = _table(np.random.default_rng(0).normal(size=(100, 6)) + np.arange(6))
    assert Adaptive().find_open(table, num_removed).all()


@pytest.mark.parametrize(("count", "num_rows"), [(24, 100), (15, 15)])
def test_nothing_is_settled_by_a_few_examples(count, num_rows):
    table = SampleTable(num_rows, 4)
    assert Adaptive().find_open(table, 2).all()
    table.add(np.arange(count), np.arange(4) + np.zeros((count, 4)))
    assert Adaptive().find_open(table, 2).all()


def test_dead_units_at_the_cut_are_not_drawn_for_ever():
    samples = np.concatenate([np.zeros((100, 3)), np.ones((100, 1))], axis=1)
    assert not Adaptive().find_open(_table(samples), 2).any()


def test_as_much_is_spent_as_on_permutations(problem):
    found = _rank(problem, Adaptive(3), ratio=0.34)
    limit = NUM_EXAMPLES * 3 * 7
    ranker = ShapleyRanker("loss", Adaptive(3))
    cost = ranker.estimate_cost(*problem, layers="inner1")
    assert cost.evaluations == limit
    assert limit - 32 * 7 < found.num_evaluations <= limit


def test_less_is_spent_once_all_sides_are_settled(problem):
    """Two errors lie between the third and the fourth unit after the first batch."""
    found = _rank(problem, Adaptive(3), ratio=0.5)
    assert found.num_evaluations < NUM_EXAMPLES * 3 * 7 / 2
    cut = np.sort(found.values)[2:4].mean()
    assert (np.abs(found.values - cut) >= 2 * found.standard_errors).all()


@pytest.mark.slow
def test_many_draws_find_the_exact_values(problem):
    exact = _rank(problem, "exact").values
    found = _rank(problem, Adaptive(12), ratio=0.34)
    assert (np.abs(found.values - exact) < 4 * found.standard_errors).all()
    at_cut = np.argsort(exact)[1:3]
    np.testing.assert_allclose(found.values[at_cut], exact[at_cut], atol=0.01)


def test_walks_are_taken_where_they_are_cheap(problem):
    walks = _rank(problem, Permutation(2), "projection")
    adaptive = _rank(problem, Adaptive(2), "projection")
    np.testing.assert_array_equal(adaptive.values, walks.values)
    assert adaptive.num_evaluations == walks.num_evaluations


def test_it_stops_at_a_number_of_evaluations(problem):
    found = _rank(problem, "adaptive", stop=StopWhen(evaluations=400))
    assert abs(found.num_evaluations - 400) <= 32 * 7 / 2


def test_it_says_what_it_does(problem):
    ranker = ShapleyRanker("loss", Adaptive(2))
    ranking = ranker.rank(*problem, layers="inner1", verbose=0)
    assert ranking.method == (
        "Shapley values of the loss, adaptive draws at the cost of 2 permutations an "
        "example"
    )
    assert repr(Adaptive()) == "estimators.Adaptive(num_draws=1)"
