"""Tests of the pictures: what is drawn, and where."""

import sys

import models
import numpy as np
import pytest

from keras_shapley_prune import (
    BaselineRanker,
    FrontierPoint,
    GroupScores,
    Ranking,
    measure_ablation,
    measure_frontier,
    plan_pruning,
    plot_ablation,
    plot_frontier,
    plot_ranking,
)
from keras_shapley_prune.report.ablation import AblationCurve

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def no_windows():
    from matplotlib import pyplot

    matplotlib.use("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def ranking():
    conv = GroupScores(
        np.array([3.0, 1.0, 4.0, 2.0]), np.array([0.3, 0.1, np.inf, 0.2]), 10
    )
    dense = GroupScores(np.array([2.0, -1.0]), np.array([0.1, 0.1]), 10)
    return Ranking({"conv": conv, "dense": dense}, "method", 5)


def points_in(ax):
    """Returns the drawn points, from left to right, as two lists."""
    drawn = [line.get_xydata() for line in ax.lines if line.get_marker() == "o"]
    drawn = np.concatenate(drawn)
    drawn = drawn[np.argsort(drawn[:, 0])]
    return drawn[:, 0].tolist(), drawn[:, 1].tolist()


def cuts_in(ax):
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]


def test_a_group_stands_in_the_order_of_leaving(ranking):
    ax = plot_ranking(ranking, "conv", cut=0.5)
    assert points_in(ax) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert cuts_in(ax) == [1.5]
    assert ax.get_title() == "conv"
    assert ax.get_yscale() == "log"
    bars = [bar for c in ax.containers for bar in c[2][0].get_segments()]
    lengths = sorted(float(high - low) for (_, low), (_, high) in bars)
    np.testing.assert_allclose(lengths, [0.2, 0.4, 0.6])  # none for the unsampled one
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {"removed", "kept"}


def test_all_groups_stand_side_by_side(ranking):
    ax = plot_ranking(ranking)
    positions, values = points_in(ax)
    assert values == [1, 2, 3, 4, -1, 2]
    assert positions[4] > positions[3] + 1
    assert [label.get_text() for label in ax.get_xticklabels()] == ["conv", "dense"]
    assert ax.get_yscale() == "linear"
    assert not cuts_in(ax) and ax.get_legend() is None


def test_cuts_come_from_plans_and_dicts(ranking):
    assert cuts_in(plot_ranking(ranking, ["conv"], {"conv": 3})) == [2.5]
    model = models.classifier()
    found = BaselineRanker("l1_norm").rank(model)
    plan = plan_pruning(model, found, {"conv": 0.34})
    assert cuts_in(plot_ranking(found, "conv", plan)) == [1.5]


def test_they_draw_on_given_axes(ranking):
    _, (left, right) = matplotlib.pyplot.subplots(1, 2)
    assert plot_ranking(ranking, "conv", ax=left) is left
    curves = [AblationCurve("conv", 4, (0, 2), (1.0, 2.0), "loss")]
    assert plot_ablation(curves, ax=right) is right
    assert not any(ax.spines["top"].get_visible() for ax in (left, right))


def test_ablation_curves():
    curves = [
        AblationCurve("conv", 4, (0, 2, 3), (0.9, 0.8, 0.3), "accuracy"),
        AblationCurve("dense", 10, (0, 9), (0.9, 0.5), "accuracy"),
    ]
    ax = plot_ablation(curves)
    first, second = ax.lines
    assert first.get_xydata().tolist() == [[0, 0.9], [0.5, 0.8], [0.75, 0.3]]
    assert second.get_xydata().tolist() == [[0, 0.9], [0.9, 0.5]]
    assert [line.get_label() for line in ax.lines] == ["conv", "dense"]
    assert ax.get_ylabel() == "accuracy"


def test_what_is_measured_can_be_drawn():
    model, data = models.classifier(), models.labelled_images(16)
    ranking = BaselineRanker("l1_norm").rank(model)
    curves = measure_ablation(model, ranking, data, "accuracy", "conv", 3)
    ax = plot_ablation(curves)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curves[0].values)
    points = measure_frontier(model, ranking, data, [0.5], metric="loss", repair=None)
    ax = plot_frontier(points)
    np.testing.assert_allclose(
        ax.lines[0].get_ydata(), [points[1].value, points[0].value], rtol=1e-5
    )
    assert ax.get_ylabel() == "loss"


@pytest.mark.parametrize("draw", [plot_ablation, plot_frontier])
def test_plots_take_data_only(draw):
    """Once a model was taken too, with arguments that lists made meaningless."""
    for wrong in (models.classifier(), [], [1], None):
        with pytest.raises(ValueError, match=r"should be a list of `.*returns"):
            draw(wrong)
    with pytest.raises(TypeError):
        draw(models.classifier(), None, models.labelled_images(4))


def test_frontier_points():
    points = [FrontierPoint(r, 100 - r, 1000 - 10 * r, 0.9, "acc") for r in (0, 50)]
    ax = plot_frontier(points)
    assert ax.lines[0].get_xdata().tolist() == [500, 1000]
    ax = plot_frontier({"one": points, "two": points[:1]}, cost="parameters")
    assert ax.lines[0].get_xdata().tolist() == [50, 100]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one", "two"]


def test_wrong_arguments(ranking):
    with pytest.raises(ValueError, match="'pool'"):
        plot_ranking(ranking, "pool")
    for cut in (1.5, "half"):
        with pytest.raises(ValueError, match="`cut` should be"):
            plot_ranking(ranking, cut=cut)
    with pytest.raises(ValueError, match="cost='bytes'"):
        plot_frontier([], cost="bytes")
    with pytest.raises(ValueError, match="list of `FrontierPoint`"):
        plot_frontier([])
    with pytest.raises(ValueError, match="known flops"):
        plot_frontier([FrontierPoint(0, 1, None, 0.5, "acc")])


def test_without_matplotlib(ranking, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"keras-shapley-prune\[plots\]"):
        plot_ranking(ranking)
