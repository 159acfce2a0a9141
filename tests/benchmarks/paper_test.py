"""Tests of the paper's experiments, and of what is written down of them."""

import csv
import sys

import numpy as np
import pytest
from scripts import ROOT, load


@pytest.fixture(scope="module")
def max_network():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "paper" / "max_network.py")
    sys.path[:] = path


def test_the_network_returns_the_larger_number(max_network):
    x, y = max_network.draw(16, seed=1)
    outputs = max_network.build()(x)
    np.testing.assert_allclose(np.ravel(outputs), y, rtol=1e-5)


@pytest.mark.eager
def test_shapley_values_are_those_found_by_hand(max_network):
    rows = {name: row for name, *row in max_network.measure(256, seed=1)}
    shapley = [row for name, row in rows.items() if name.startswith("Shapley")]
    assert len(shapley) == 3
    for row in shapley:
        np.testing.assert_allclose(row[:4], max_network.BY_HAND, atol=0.4)
    assert rows["weight norm (L2)"][3] > rows["weight norm (L2)"][0]


def test_the_page_shows_what_was_measured():
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    path = ROOT / "benchmarks" / "results" / "paper_max_network.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row in rows:
        values = " | ".join(row[f"unit{number}"] for number in range(1, 5))
        assert f"| {row['metric']} | {values} |" in page
