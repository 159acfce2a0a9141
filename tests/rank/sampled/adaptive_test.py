"""Tests of the rounds of adaptive draws, on samples without a network."""

import numpy as np
import pytest

from keras_shapley_prune.rank.estimators import Adaptive
from keras_shapley_prune.rank.sampled.adaptive import AdaptiveSource
from keras_shapley_prune.rank.sources import SampleSource
from keras_shapley_prune.rank.staging import Staging, play_stages
from keras_shapley_prune.rank.stopping import Budget, StopWhen
from keras_shapley_prune.rank.table import SampleTable

SIZES = [20, 20, 20, 20, 4]
TRUTH = np.array([0, 5, 1, 6, 2, 2.1, 7, 8])
LIMIT = sum(SIZES) * 9  # a walk an example


class Normal(SampleSource):
    """Samples of known values, with noise; `num_draws` of each example."""

    def __init__(self, num_draws, seed, noise):
        super().__init__(SampleTable(sum(SIZES), len(TRUTH)))
        self._num_draws, self._seed, self._noise = num_draws, seed, noise

    def rounds(self, active, stage):
        for draw in range(self._num_draws):
            for batch in range(len(SIZES)):
                yield lambda draw=draw, batch=batch: self._draw(active, draw, batch)

    def _draw(self, active, draw, batch):
        generator = np.random.default_rng([self._seed, draw, batch])
        size, first = SIZES[batch], sum(SIZES[:batch])
        samples = TRUTH + self._noise * generator.normal(size=(size, len(TRUTH)))
        counted = np.tile(active, (size, 1))
        cost = size * (int(active.sum()) + 1)
        return first + np.arange(size), samples, counted, cost


def _source(seed=0, num_draws=1, num_removed=3, noise=2.0):
    estimator = Adaptive(num_draws)
    walks = Normal(1, seed, noise)
    neighbours = Normal(num_draws * 9, seed + 1000, noise)
    return AdaptiveSource(estimator, walks, neighbours, SIZES, num_removed)


def _play(source, num_removed=3, **limits):
    budget = Budget(StopWhen(**limits))
    return play_stages(
        source, Staging(), lambda legs, find: budget.start_leg(1, find), num_removed
    )


def test_close_units_have_most_samples():
    source = _source()
    scores = _play(source)
    counts = source.table.count.sum(axis=0)
    assert counts[[4, 5]].min() > 1.4 * 84
    assert counts[[0, 1, 3, 6, 7]].max() <= 60
    assert LIMIT - 20 * 9 < scores.num_evaluations <= LIMIT
    # Evaluations are samples, and one more for each visit of an example.
    visits = scores.num_evaluations - counts.sum()
    assert 84 < visits == int(visits)


def test_the_order_at_the_cut_is_surer_than_with_walks():
    wrong = {"adaptive": 0, "walks": 0}
    for seed in range(60):
        walks = Normal(1, seed, 2.0)
        for name, source in (("adaptive", _source(seed)), ("walks", walks)):
            wrong[name] += set(_play(source).order[:3]) != {0, 2, 4}
    assert wrong["adaptive"] < wrong["walks"]


def test_it_ends_once_no_unit_is_open():
    scores = _play(_source(noise=0.01))
    assert scores.num_evaluations == 40 * 9
    np.testing.assert_allclose(scores.values, TRUTH, atol=0.02)


@pytest.mark.parametrize("num_drawn", [1, 3, 5, 6])
def test_rounds_that_were_drawn_can_be_left_out(num_drawn):
    """The table alone says what comes next."""
    whole = _source(num_draws=2, noise=4.0)
    active, tables = np.ones(len(TRUTH), bool), []
    for number, draw in enumerate(whole.rounds(active, 0)):
        if number == num_drawn:
            tables.append((whole.table.sum.copy(), whole.table.count.copy()))
        whole.table.add(*draw()[:3])
    later = _source(num_draws=2, noise=4.0)
    later.table.sum[:], later.table.count[:] = tables[0]
    for number, draw in enumerate(later.rounds(active, 0)):
        if number >= num_drawn:
            later.table.add(*draw()[:3])
    assert number > num_drawn
    np.testing.assert_array_equal(later.table.sum, whole.table.sum)
    np.testing.assert_array_equal(later.table.count, whole.table.count)


def test_it_stops_when_it_is_sure_enough():
    sure = _play(_source(num_draws=20, noise=6.0), misassigned=0.25)
    surer = _play(_source(num_draws=20, noise=6.0), misassigned=0.02)
    assert sure.num_evaluations < surer.num_evaluations < 20 * LIMIT
