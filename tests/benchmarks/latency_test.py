"""Tests of the benchmark of latency, and of what is written down of it."""

import csv
import sys

import numpy as np
import pytest
from clocks import build_residual, linear_clock
from scripts import ROOT, load

RESULTS = ROOT / "benchmarks" / "results" / "latency.csv"


@pytest.fixture(scope="module")
def latency():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "latency.py")
    sys.path[:] = path


@pytest.mark.slow
def test_what_is_a_sum_of_products_is_predicted(latency):
    rows = list(latency.measure(build_residual(width=32), linear_clock, seeds=1))
    kinds = [row[0] for row in rows]
    assert kinds[0] == "table" and {"predicted"} <= set(kinds)
    errors = [abs(row[6]) for row in rows if row[0] == "predicted"]
    assert max(errors) < 0.02
    assert all(len(row) == len(latency.HEADER.split()) - 2 for row in rows)


def test_the_errors_that_are_written_down_are_those_that_are_promised():
    with open(RESULTS, newline="") as file:
        rows = list(csv.DictReader(file))
    predicted = [abs(float(r["error"])) for r in rows if r["kind"] == "predicted"]
    assert np.median(predicted) <= 0.10
    assert max(predicted) <= 0.20
