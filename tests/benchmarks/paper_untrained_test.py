"""Tests of the paper's experiment on untrained networks, and of what is said of it."""

import csv
import sys

import numpy as np
import pytest
from scripts import ROOT, load


@pytest.fixture(scope="module")
def untrained():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "paper" / "untrained.py")
    sys.path[:] = path


def draw(num_examples, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_examples, 12)).astype("float32")
    return x, generator.integers(0, 10, num_examples)


def test_the_network_is_that_of_the_notebook(untrained):
    model = untrained.build(784, "pytorch", seed=0)
    assert model.count_params() == 5_707_690
    kernel, bias = model.get_layer("first").get_weights()
    for weights in (kernel, bias):
        assert 0.9 / 28 < np.abs(weights).max() <= 1 / 28
    np.testing.assert_allclose(
        model.get_layer("outer").get_weights()[0].mean(), 0, atol=1e-4
    )
    assert not np.any(
        untrained.build(8, "keras", 0).get_layer("outer").get_weights()[1]
    )


def test_exactly_the_units_of_negative_value_are_removed(untrained):
    model = untrained.build(12, "pytorch", seed=1, width=6)
    values = np.array([0.2, -0.1, 0.0, -0.3, 0.1, -0.2])
    smaller = untrained.remove_negative(model, draw(8, 0)[0], "outer", values)
    kept = [0, 2, 4]  # a value of 0 is not negative
    for name, axis in (("outer", 1), ("classes", 0)):
        before, after = (m.get_layer(name).get_weights()[0] for m in (model, smaller))
        np.testing.assert_array_equal(np.take(before, kept, axis), after)


@pytest.mark.eager
def test_a_row_counts_what_is_left(untrained):
    data, test = draw(40, 0), draw(30, 1)
    model = untrained.build(12, "pytorch", seed=2, width=16)
    row = untrained.measure(model, data, test, "published", seed=2)
    before, _, _, _, outer, first, params, evaluations, _ = row
    assert before == untrained.accuracy(model, test)
    assert 0 < outer < 16
    outer, first = 16 - outer, 16 - first
    left = 13 * first + (first + 1) * outer + (outer + 1) * 10
    assert params == left / model.count_params()
    assert evaluations == 2 * 5 * 17 * 40
    # The first layer is valued in what is left of the network, not in the whole.
    values, _ = untrained.value_units(model, data, "outer", "published", 2)
    smaller = untrained.remove_negative(model, data[0], "outer", values)
    values, _ = untrained.value_units(smaller, data, "first", "published", 2)
    assert np.sum(values >= 0) == first


def test_random_removes_as_many_units(untrained):
    data, test = draw(10, 0), draw(10, 1)
    model = untrained.build(12, "keras", seed=0, width=16)
    row = untrained.measure(model, data, test, "random", 0, counts=(5, 3))
    assert row[4:6] == [5, 3]


def test_images_to_rank_on_are_not_tested_on(untrained):
    train = np.arange(50.0)[:, np.newaxis], np.arange(50)
    (x, y), (x_test, y_test) = untrained.split(train, None, 20, seed=0)
    assert sorted([*y, *y_test]) == list(range(50))
    np.testing.assert_array_equal(x[:, 0], y)
    np.testing.assert_array_equal(x_test[:, 0], y_test)


def test_the_page_shows_what_was_measured(untrained):
    path = ROOT / "benchmarks" / "results" / "paper_untrained.csv"
    with open(path, newline="", encoding="utf-8") as file:
        columns, *rows = list(csv.reader(file))
    assert columns == untrained.COLUMNS.split()
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in untrained.list_lines(rows) if line not in page]
    assert not missing
    for row in rows:
        if row[3] == "random":  # as many units as the published estimator removes
            (published,) = (r for r in rows if r[:4] == [*row[:3], "published"])
            assert row[8:11] == published[8:11]
