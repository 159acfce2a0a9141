"""Tests of the layer-wise robustness experiment, and of what is written down of it."""

import argparse
import csv
import sys

import keras
import numpy as np
import pytest
from scripts import ROOT, load

RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def robustness():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "paper" / "robustness.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def tables(robustness):
    from paper import robustness_tables

    return robustness_tables


@pytest.fixture(scope="module")
def problem(robustness):
    import networks

    keras.utils.set_random_seed(0)
    model = robustness.vgg16.build(((4,), (6,)), units=6, image_size=8, num_classes=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    # Else the normalizations have no effect, and a mask before them would do as well.
    # And no layer should be dead.
    for layer in model.layers:
        shift = getattr(layer, "beta", getattr(layer, "bias", None))
        if shift is not None and layer.name != "logits":
            shift.assign(np.linspace(0.5, 1, shift.shape[0]))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 8, 8, 3)).astype("float32")
    y = generator.integers(0, 3, 64)
    return networks.Problem("tiny", model, (x, y), (x, y))


@pytest.fixture
def experiment(robustness, problem, tmp_path):
    settings = argparse.Namespace(images=16, walks=4, test_images=40, depths=3)
    return robustness.Robustness(problem, settings, tmp_path)


def test_the_network_is_the_papers(robustness):
    model = robustness.vgg16.build()
    units = robustness.ksp.trace_channels(model).groups
    assert [group.num_units for group in units] == (
        [64] * 2 + [128] * 2 + [256] * 3 + [512] * 8
    )


def test_the_area_is_that_found_by_hand(robustness, tables):
    losses = [1.0, 1.5, 1.25, 4.0]
    # 0.5 + 0.25 + 3.0: the sum of the rises, one for each removal.
    assert robustness.sum_increases([0, 1, 2, 3], losses) == pytest.approx(3.75)
    # A straight line from 1 to 3 in four removals: 0.5 + 1 + 1.5 + 2.
    assert robustness.sum_increases([0, 4], [1.0, 3.0]) == pytest.approx(5.0)
    row = ["a", "0", "first", "3", "8", "1", "0.0", "3.75", ""]
    other = ["a", "0", "second", "5", "8", "1", "0.0", "0.25", ""]
    assert tables.areas([row, other])["a"] == pytest.approx([4.0 / 8])
    # A seed without all layers is not compared with whole ones.
    unfinished = ["a", "1", "first", "3", "8", "1", "0.0", "9.0", ""]
    assert tables.areas([row, other, unfinished])["a"] == pytest.approx([0.5])
    assert tables.layer_means([row, other])["second"]["a"] == pytest.approx(0.05)


def test_rises_are_compared_on_the_layers_that_all_have_at_a_ratio(tables):
    random, norm = "random", "weight norm (L2)"
    rows = [
        [norm, "conv2", "0.5000", "2", "0.4", "0.1"],
        [norm, "conv10", "0.5000", "2", "0.2", "0.0"],
        [random, "conv10", "0.5000", "2", "0.3", "-0.01"],
        [norm, "conv2", "0.7500", "3", "0.9", "0.5"],
    ]
    found = tables.repair_rises(rows)
    assert {key: len(rises) for key, rises in found.items()} == {
        (norm, "0.5000"): 1,
        (random, "0.5000"): 1,
        (norm, "0.7500"): 1,
    }
    assert tables.repair_lines(rows) == [
        "| layer, half of it removed | weight norm (L2) | random |",
        "| conv2 | 0.40 / 0.10 | – |",
        "| conv10 | 0.20 / 0.00 | 0.30 / -0.01 |",
    ]


@pytest.mark.parametrize("layer", ["conv1", "conv2", "dense1", "dense2"])
def test_a_masked_layer_is_a_pruned_one(robustness, problem, experiment, layer):
    ranking, *_ = experiment.rank("weight norm (L2)", 0, layer)
    pruned = robustness.ksp.prune(
        problem.model,
        problem.train[0][:16],
        0.5,
        layers=[layer],
        ranker=ranking,
        repair=None,
        verbose=0,
    )
    removed = ranking[layer].order[: experiment.units[layer] // 2]
    expected, _ = pruned.evaluate(*experiment.test, verbose=0)
    curve = experiment.curve(layer)
    assert curve.loss(removed) == pytest.approx(expected, abs=1e-5)
    whole, _ = problem.model.evaluate(*experiment.test, verbose=0)
    assert curve.loss([]) == pytest.approx(whole, abs=1e-5)
    assert abs(expected - whole) > 1e-4


def test_every_ranking_gives_a_row_and_is_kept(robustness, tables, experiment):
    for name in tables.RANKINGS:
        ((units, images, evaluations, _, increase, losses),) = experiment.run(
            name, 0, "conv2"
        )
        losses = np.array(losses.split(), float)
        assert (units, len(losses)) == (6, 4)
        counts = tables.spread_counts(6, 3)
        expected = robustness.sum_increases(counts, losses)
        assert increase == pytest.approx(expected, abs=1e-3)
        ranking, num_images, seconds = experiment.rank(name, 0, "conv2")
        assert (num_images, seconds) == (images, 0.0)
        assert ranking["conv2"].num_evaluations == evaluations


def test_ours_has_as_many_evaluations_as_the_papers_estimator(tables, experiment):
    found = {
        name: experiment.run(name, 0, "conv1")[0][2]
        for name in (tables.PUBLISHED, tables.OURS, tables.SPREAD)
    }
    assert set(found.values()) == {5 * 4 * (4 + 1)}


def test_repair_starts_from_the_masked_layer(robustness, experiment):
    ((removed, masked, repaired),) = experiment.repair("random", "conv2", 0.5)
    assert removed == 3
    ranking, *_ = experiment.rank("random", 0, "conv2")
    curve = experiment.curve("conv2")
    expected = curve.loss(ranking["conv2"].order[:3]) - curve.loss([])
    assert masked == pytest.approx(expected)
    assert np.isfinite(repaired) and repaired != pytest.approx(masked)


def read(name):
    with open(RESULTS / name, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_the_page_shows_what_was_measured(robustness, tables):
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    rows = read("paper_robustness.csv")
    lines = tables.format_tables(rows, read("paper_robustness_repair.csv"))
    assert {*tables.CRITERIA, *tables.SHAPLEY} - {*tables.areas(rows)} <= {
        tables.SPREAD
    }
    assert len(tables.layer_means(rows)) == 15
    for line in lines:
        assert line in page
