"""Tests of the picture of a frontier."""

import models
import numpy as np
import pytest

from keras_shapley_prune import BaselineRanker, measure_frontier, plot_frontier
from keras_shapley_prune.report.frontier import FrontierPoint

matplotlib = pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("no_windows")


def points(*values, metric="accuracy"):
    ratios = np.linspace(0, 0.75, len(values)).tolist()
    return [
        FrontierPoint(r, int(100 - 100 * r), int(1000 - 1000 * r), v, metric)
        for r, v in zip(ratios, values, strict=True)
    ]


def labels_in(ax):
    return [(text.get_text(), text.xy) for text in ax.texts]


def test_ratios_stand_at_the_points_and_the_original_is_marked():
    ax = plot_frontier(points(0.9, 0.9, 0.8, 0.7))
    assert ax.lines[0].get_xdata().tolist() == [250, 500, 750, 1000]
    expected = [("75%", (250, 0.7)), ("50%", (500, 0.8)), ("25%", (750, 0.9))]
    assert sorted(labels_in(ax)) == sorted(expected)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "pruned",
        "original",
    ]
    assert ax.lines[1].get_xydata().tolist() == [[1000, 0.9]]
    assert ax.get_ylabel() == "accuracy" and "FLOPs" in ax.get_xlabel()


def test_several_lines_share_ratios_and_the_original():
    lines = {"one": points(0.9, 0.8), "two": points(0.9, 0.7)}
    ax = plot_frontier(lines, cost="parameters")
    assert ax.lines[0].get_xdata().tolist() == [25, 100]
    assert labels_in(ax) == [("75%", (25, 0.8))]
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["one", "two", "original"]
    assert ax.lines[2].get_xydata().tolist() == [[100, 0.9]]


def test_labels_do_not_cover_each_other():
    close = [FrontierPoint(0.7 + n / 100, 1, 1000 + n, 0.5, "acc") for n in range(5)]
    ax = plot_frontier([*close, FrontierPoint(0, 9, 9000, 0.9, "acc")])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 5
    for at, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[at + 1 :])


def test_it_draws_on_given_axes():
    _, (_, right) = matplotlib.pyplot.subplots(1, 2)
    assert plot_frontier(points(0.9, 0.8), ax=right) is right


def test_what_is_measured_can_be_drawn():
    model, data = models.classifier(), models.labelled_images(16)
    ranking = BaselineRanker("l1_norm").rank(model)
    found = measure_frontier(
        model, ranking, data, [0.5], metric="loss", repair=None, verbose=0
    )
    ax = plot_frontier(found)
    expected = [found[1].value, found[0].value]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected, rtol=1e-5)
    assert ax.get_ylabel() == "loss"


def test_wrong_arguments():
    with pytest.raises(ValueError, match="cost='bytes'"):
        plot_frontier([], cost="bytes")
    for wrong in ([], [1], None, {}, models.classifier()):
        with pytest.raises(ValueError, match="list of `FrontierPoint`"):
            plot_frontier(wrong)
    with pytest.raises(ValueError, match="known flops"):
        plot_frontier([FrontierPoint(0, 1, None, 0.5, "acc")])
