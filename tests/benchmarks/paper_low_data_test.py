"""Tests of the paper's experiment with few images, and of what is said of it."""

import csv
import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load

import keras_shapley_prune as ksp


@pytest.fixture(scope="module")
def low_data():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "paper" / "low_data.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def problem(low_data):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(8, 3, use_bias=False, name="convolution"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 6, 6, 1)).astype("float32")
    data = x, generator.integers(0, 3, 60)
    return sys.modules["networks"].Problem("tiny", model, data, data)


def test_every_fine_tuning_starts_anew(low_data, problem):
    tuner, weights = low_data.Tuner(problem.model, 3), problem.model.get_weights()
    results = []
    for seed in (1, 2, 1):  # a momentum left over would change the third
        tuner.model.set_weights(weights)
        tuner.tune(problem.train, seed)
        results.append(np.concatenate([w.ravel() for w in tuner.model.get_weights()]))
    np.testing.assert_array_equal(results[0], results[2])
    assert np.any(results[0] != results[1])
    for weight, before in zip(problem.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_a_row_is_that_of_the_cut_network(low_data, problem):
    data, tuners = problem.calibration(20, seed=1), {}
    ranking = low_data.make_ranker("random", 3).rank(problem.model, data, verbose=0)
    row = low_data.measure(problem, data, ranking, 0.5, 1, tuners)
    order = ranking["convolution"].order
    smaller = ksp.remove_channels(problem.model, remove={"convolution": order[:4]})
    assert row[0] == problem.accuracy(smaller)
    assert row[4] == smaller.count_params() / problem.model.count_params()
    # The next ranking is fine-tuned by the same compiled network.
    again = low_data.measure(problem, data, ranking, 0.5, 1, tuners)
    assert again[:5] == row[:5]
    assert len(tuners) == 1


@pytest.mark.parametrize("name", ["l2_norm", "taylor", "apoz", "shapley", "default"])
def test_rankings_rank_for_the_deepest_cut(low_data, problem, name):
    data = problem.calibration(20, seed=1)
    ranker = low_data.make_ranker(name, 0)
    found = ranker.rank(problem.model, data, ratio=0.9, verbose=0)["convolution"]
    assert found.num_sampled == 8 or name == "default"
    assert sorted(found.order) == list(range(8))


def test_means_are_over_seeds(low_data):
    rows = [
        ["a", "10", str(seed), "taylor", "0.5000", f"0.{seed}", "0", "0", "0", "1", "2"]
        for seed in (1, 3)
    ]
    means = sys.modules["paper.low_data_tables"].average(rows)
    assert means["a", "10", "taylor", "0.5000"] == pytest.approx([20, 0, 0, 0, 2])


def test_the_page_shows_what_was_measured(low_data):
    path = ROOT / "benchmarks" / "results" / "paper_low_data.csv"
    with open(path, newline="", encoding="utf-8") as file:
        columns, *rows = list(csv.reader(file))
    assert columns == low_data.COLUMNS.split()
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in low_data.list_lines(rows) if line not in page]
    assert not missing
