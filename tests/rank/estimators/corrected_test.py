"""Tests of gradients that are corrected by walks."""

import games
import models
import numpy as np
import pytest

from keras_shapley_prune.rank import calibration
from keras_shapley_prune.rank.estimators import CorrectedGradient
from keras_shapley_prune.rank.estimators.corrected import CorrectedTable, combine
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stopping import StopWhen
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.tracer import trace_channels


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


@pytest.mark.sweep(1)
@pytest.mark.parametrize("game", [games.figure1, games.filters])
def test_close_to_the_exact_values(game):
    model, x, y, loss, exact = game()
    ranker = ShapleyRanker(Loss(loss), CorrectedGradient(8), batch_size=64)
    scores = ranker.rank(model, (x, y), layers="players", verbose=0)["players"]
    assert (np.abs(scores.values - exact) < 4 * scores.standard_errors + 1e-6).all()


@pytest.mark.slow
def test_the_plan_counts_both():
    model = models.classifier()
    data = models.labelled_images(20)
    ranker = ShapleyRanker("loss", CorrectedGradient(3))
    planned = ranker.estimate_cost(model, data).evaluations
    assert ranker.rank(model, data, verbose=0).num_evaluations == planned


# --- one ranking, of gradients and biases -----------------------------------------


def _rank(num_examples=80, ratio=0.5, **arguments):
    ranker = ShapleyRanker("loss", "corrected_gradient", batch_size=10, **arguments)
    data = models.labelled_images(num_examples)
    return ranker.rank(models.classifier(), data, ratio=ratio, verbose=0)


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("limit", [300, 800])
def test_both_parts_share_one_budget(limit):
    ranking = _rank(stop=StopWhen(evaluations=limit))
    a_round = 10 * 5 + 2 * (9 + 12)  # gradients of a batch, walks of two examples
    assert abs(ranking.num_evaluations - limit) <= a_round
    for scores in ranking.values():
        assert np.isfinite(scores.standard_errors).all()  # there are biases


@pytest.mark.slow
def test_sequential_play_removes_units_by_their_values(monkeypatch):
    removed = []

    class Recorded(Repairer):
        def remove(self, units):
            removed.append(list(units))
            super().remove(units)

    monkeypatch.setattr(calibration, "Repairer", Recorded)
    ranking = _rank(sequential=True)
    model = models.classifier()
    groups = {group.name: group for group in trace_channels(model).groups}
    # Once for each group, and by what is returned: not by biases.
    assert removed == [
        list(groups[name].units[ranking[name].order[: len(scores.values) // 2]])
        for name, scores in ranking.items()
    ]
    alone = _rank()
    np.testing.assert_allclose(
        ranking["conv"].values, alone["conv"].values, rtol=1e-3, atol=1e-6
    )
    assert np.abs(ranking["hidden"].values - alone["hidden"].values).max() > 1e-4


@pytest.mark.slow
def test_the_stop_rule_asks_about_the_values():
    """Biases near 0 would never be sure, nor would their 16 rows be there before."""
    whole, sure = _rank(), _rank(stop=StopWhen(misassigned=1.0))
    for name, scores in sure.items():
        walks = 16 * (len(scores.values) + 13)
        assert scores.num_evaluations == 80 * 5 + walks
        assert scores.num_evaluations == whole[name].num_evaluations
    whole, sure = _rank(240), _rank(240, stop=StopWhen(misassigned=1.0))
    for name, scores in sure.items():
        assert scores.num_evaluations < whole[name].num_evaluations / 2


def test_the_table_corrects_estimates():
    generator = np.random.default_rng(0)
    table = CorrectedTable(20, 4, 3)
    estimates = generator.normal(size=(20, 3)) + np.arange(3)
    biases = 5 + 0.1 * generator.normal(size=(4, 3))
    table.add(np.arange(20), estimates)
    table.add(20 + np.arange(4), biases)
    np.testing.assert_array_equal(table.num_rows_of, [4, 4, 4])
    values, errors = table.estimate()
    expected, widths = combine(
        estimates.mean(axis=0),
        estimates.std(axis=0, ddof=1) / np.sqrt(20),
        biases.mean(axis=0),
        biases.std(axis=0, ddof=1) / np.sqrt(4),
    )
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(errors, widths)
    assert (values > estimates.mean(axis=0) + 4).all()
