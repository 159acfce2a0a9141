"""Tests of the benchmark of adaptive draws, on a game without a network."""

import csv
import sys

import numpy as np
import pytest
from scripts import ROOT, load


@pytest.fixture(scope="module")
def adaptive():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "adaptive.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def game(adaptive):
    """Six units whose worth in a coalition has decreasing returns, on 80 examples."""
    generator = np.random.default_rng(0)
    bits = np.arange(64)[:, np.newaxis] >> np.arange(6) & 1
    weights = generator.gamma(1, size=(6, 80)) * np.arange(1, 7)[:, np.newaxis]
    return adaptive.adaptive_games.ExactGame("test", False, np.sqrt(bits @ weights))


def test_every_rule_plays_within_its_budget(adaptive, game):
    for name, rule in adaptive.RULES.items():
        run = adaptive.Run(game, rule, 3, 2, np.random.default_rng(0))
        values, errors = run.play().estimate()
        assert np.isfinite(values).all(), name
        assert np.abs(values - game.truth).max() < 5 * errors.max(), name
        counts = run.table.count.sum(axis=0)
        # Once its ends are known, a walk has 6 samples for 5 evaluations.
        assert counts.sum() <= 2 * 80 * 7 * 6 / 5, name


def test_many_draws_find_the_truth(adaptive, game):
    for name in ("permutation", "all neighbours"):
        run = adaptive.Run(game, adaptive.RULES[name], 3, 300, np.random.default_rng(0))
        values, _ = run.play().estimate()
        np.testing.assert_allclose(values, game.truth, rtol=0.03)


def test_wrong_units_and_regret(adaptive):
    truth = np.array([1.0, 2, 3, 4])
    assert adaptive.score(truth, truth, 2) == (0, 0)
    assert adaptive.score(truth[::-1], truth, 2) == (1, 0.4)
    assert adaptive.score(np.array([1.0, 3, 2, 4]), truth, 2) == (0.5, 0.1)


def test_what_is_saved_is_read_off_the_plain_curve(adaptive):
    summary = {("permutation", c): (0.2 / c, 0, 0) for c in (0.5, 1, 2, 4)}
    summary["rule", 1] = 0.1, 0, 0
    assert adaptive.find_saved(summary, "rule", 1) == pytest.approx(0.5)
    summary["rule", 1] = 0.5, 0, 0  # worse than all that was run
    assert np.isnan(adaptive.find_saved(summary, "rule", 1))


def test_the_tables_of_the_docs_are_those_of_the_results(adaptive):
    path = ROOT / "benchmarks" / "results" / "adaptive.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    page = (ROOT / "docs" / "rankings.md").read_text(encoding="utf-8")
    for line in [*adaptive.table_lines(rows)[2:], *adaptive.other_lines(rows)[2:]]:
        assert line in page
