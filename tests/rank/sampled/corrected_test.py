"""Tests of gradients that are corrected by walks."""

import games
import models
import numpy as np
import pytest

from keras_shapley_prune.rank.sampled.corrected import combine
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker


def _draw(generator, num_units, spread, noise):
    truth = generator.normal(size=num_units)
    bias = spread * generator.normal(size=num_units)
    found = bias + noise * generator.normal(size=num_units)
    errors = np.full(num_units, 0.1)
    return truth, truth - bias + 0.1 * generator.normal(size=num_units), errors, found


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_intervals_hold_the_truth(spread, noise):
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        truth, values, errors, found = _draw(generator, 32, spread, noise)
        noises = np.full(32, noise)
        estimate, width = combine(values, errors, found, noises)
        covered.append(np.mean(np.abs(estimate - truth) <= 1.96 * width))
    assert np.mean(covered) > 0.92
    if spread > noise:
        assert np.mean(covered) < 0.98


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_it_is_no_worse_than_the_better_of_the_two(spread):
    generator = np.random.default_rng(1)
    squares = []
    for _ in range(300):
        truth, values, errors, found = _draw(generator, 32, spread, 0.5)
        estimate, _ = combine(values, errors, found, np.full(32, 0.5))
        squares.append(
            [np.mean((e - truth) ** 2) for e in (estimate, values, values + found)]
        )
    ours, as_it_was, all_of_it = np.mean(squares, axis=0)
    # How much to trust has to be found out, which costs a little.
    assert ours < 1.1 * min(as_it_was, all_of_it) + 0.03 * max(as_it_was, all_of_it)


def test_exact_biases_are_added_whole():
    values, errors = np.arange(3.0), np.full(3, 0.1)
    estimate, width = combine(values, errors, np.array([1.0, -1, 0]), np.zeros(3))
    np.testing.assert_array_equal(estimate, [1, 0, 2])
    np.testing.assert_array_equal(width, errors)


def test_unknown_errors_are_not_trusted():
    values = np.arange(3.0)
    estimate, width = combine(values, np.ones(3), np.ones(3), np.full(3, np.inf))
    np.testing.assert_array_equal(estimate, values)
    assert np.isinf(width).all()


@pytest.mark.parametrize("game", [games.figure1, games.filters])
def test_close_to_the_exact_values(game):
    model, x, y, loss, exact = game()
    ranker = ShapleyRanker("corrected_gradient", num_draws=8, loss=loss, batch_size=64)
    scores = ranker.rank(model, (x, y), layers="players", verbose=0)["players"]
    assert (np.abs(scores.values - exact) < 4 * scores.standard_errors + 1e-6).all()


def test_the_plan_counts_both():
    model = models.classifier()
    data = models.labelled_images(20)
    ranker = ShapleyRanker("corrected_gradient", num_draws=3)
    planned = ranker.plan(model, data).evaluations
    assert ranker.rank(model, data, verbose=0).num_evaluations == planned
