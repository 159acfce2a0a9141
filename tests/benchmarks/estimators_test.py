"""Tests of how estimators are compared: with those of shapiq, and with the paper's."""

import collections
import sys

import numpy as np
import pytest
from scripts import ROOT, load

from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights

pytest.importorskip("shapiq")

NUM_UNITS = 6


@pytest.fixture(scope="module")
def folder():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield ROOT / "benchmarks"
    sys.path[:] = path


@pytest.fixture(scope="module")
def theirs(folder):
    return load(folder / "shapiq_estimators.py")


@pytest.fixture(scope="module")
def reports(folder):
    return load(folder / "estimator_reports.py")


@pytest.fixture
def game(theirs):
    """A game of six players with its Shapley values."""
    table = np.random.default_rng(0).normal(size=2**NUM_UNITS)
    table += 2 * all_coalitions(NUM_UNITS) @ np.arange(NUM_UNITS)
    powers = 1 << np.arange(NUM_UNITS)
    seen = []

    def value(coalitions):
        seen.extend(coalitions @ powers)
        return table[coalitions @ powers]

    return theirs.RememberedGame(value), shapley_weights(NUM_UNITS).T @ table, seen


def test_no_coalition_is_evaluated_twice(theirs, game):
    remembered, _, seen = game
    coalitions = np.array([[0, 1, 1, 0, 0, 0], [1] * 6, [0, 1, 1, 0, 0, 0]], bool)
    first = remembered(coalitions)
    assert first[0] == first[2]
    np.testing.assert_array_equal(remembered(coalitions[1]), first[1:2])
    assert remembered.num_asked == 4
    assert sorted(seen) == [6, 63]


def test_estimators_keep_to_the_budget_and_come_close(theirs, game, monkeypatch):
    remembered, truth, _ = game
    monkeypatch.setattr(theirs, "COSTS", (0.25, 100))
    found = {(n, c): v for n, c, v in theirs.shapiq_estimates(remembered, NUM_UNITS, 0)}
    assert ("shapiq KernelSHAP", 100) in found
    # Two evaluations are not a permutation: there is nothing to compare.
    assert ("shapiq PermutationSamplingSV", 0.25) not in found
    spread = np.sum((truth - truth.mean()) ** 2)
    for name, exact in (("KernelSHAP", 1e-6), ("PermutationSamplingSV", 0.05)):
        error = np.sum((found[f"shapiq {name}", 100] - truth) ** 2)
        assert error <= exact * spread


def test_what_an_older_shapiq_lacks_is_named(theirs, monkeypatch, capsys):
    monkeypatch.delattr(theirs.approximator, "KernelSHAP")
    theirs.open_estimators.cache_clear()
    names = list(theirs.open_estimators())
    theirs.open_estimators.cache_clear()
    assert "shapiq PermutationSamplingSV" in names
    assert "shapiq KernelSHAP" not in names
    assert "has not: KernelSHAP; KernelSHAP, pairs" in capsys.readouterr().out


def test_an_estimator_that_asks_for_more_is_an_error(theirs, game):
    class Greedy:
        def __init__(self, num_units, random_state):
            self.num_units = num_units

        def approximate(self, budget, game):
            game(np.zeros((budget + 1, self.num_units), bool))

    with pytest.raises(RuntimeError, match="was to ask for 7 coalitions, not 8"):
        theirs._estimate(Greedy, game[0], NUM_UNITS, 7, 0)


def rows_of(estimator, cost, errors, taus, game="digits"):
    return [
        ("exact", game, "conv2d", estimator, cost, seed, error, tau, 1.0)
        for seed, (error, tau) in enumerate(zip(errors, taus, strict=True))
    ]


def test_the_cost_of_the_order_of_the_paper(reports):
    rows = [
        *rows_of("shared_permutation", 5, (1, 1), (0.4, 0.6)),
        *rows_of("shared_permutation", 1, (1, 1), (0.9, 0.9)),
        *rows_of("gradient", 0.05, (1, 1), (0.9, 0.0)),
        *rows_of("gradient", 0.1, (1, 1), (0.5, 0.5)),
        *rows_of("gradient", 0.25, (1, 1), (0.3, 0.3)),
        *rows_of("gradient", 1, (1, 1), (0.9, 0.9)),
        *rows_of("permutation", 1, (1, 1), (0.4, 0.5)),
        *rows_of("shapiq KernelSHAP", 1, (1, 1), (1, 1)),
        *rows_of("gradient", 0.05, (1, 1), (1, 1), game="no paper"),
    ]
    game = "exact", "digits", "conv2d"
    found = reports.costs_of_paper_order(rows)
    assert found == {game: {"gradient": 0.1, "permutation": None}}
    found = reports.costs_of_paper_order(rows, lasting=True)
    assert found == {game: {"gradient": 1, "permutation": None}}


def test_the_comparison_with_the_best_of_shapiq(reports):
    rows = [
        *rows_of("permutation", 1, (0.1, 0.3), (1, 1)),
        *rows_of("permutation", 1, (0.5, 0.5), (1, 1), game="fashion"),
        *rows_of("shapiq good", 1, (0.4, 0.4), (1, 1)),
        *rows_of("shapiq good", 1, (2.0, 2.0), (1, 1), game="fashion"),
        *rows_of("shapiq poor", 1, (0.5, 0.5), (1, 1)),
        *rows_of("shapiq poor", 1, (9.0, 9.0), (1, 1), game="fashion"),
        *rows_of("shapiq partial", 1, (0.0, 0.0), (1, 1)),
    ]
    (line,) = reports.compare_with_best(rows[:-2], "exact", 1)
    # (.1 + .3 + .5 + .5) / 4 = .35, of 1.2; the pairs: .25, .75, .25, .25
    assert "at most half? yes permutation" in line
    assert "0.292 of good" in line
    assert "median 0.25, at most half in 3 of 4" in line
    assert not list(reports.compare_with_best(rows, "large", 1))
    # What cannot run in one of the games has no place in means over all of them.
    assert ("exact", "shapiq good", 1) in reports.summarize(rows)
    assert ("exact", "shapiq partial", 1) not in reports.summarize(rows)


def test_the_results_are_of_whole_runs(reports):
    path = ROOT / "benchmarks" / "results" / "estimators.csv"
    rows = reports.read_rows(path)
    keys = [row[:6] for row in rows]
    assert len(set(keys)) == len(keys)
    seeds = collections.Counter(key[:5] for key in keys)
    assert set(seeds.values()) == {3}
    assert len(reports.costs_of_paper_order(rows)) == 8
    for kind in reports.KINDS:
        for cost in (0.25, 1, 5):
            assert list(reports.compare_with_best(rows, kind, cost))
