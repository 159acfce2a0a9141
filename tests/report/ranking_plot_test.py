"""Tests of the picture of a ranking."""

import sys

import models
import numpy as np
import pytest

from keras_shapley_prune import (
    BaselineRanker,
    GroupScores,
    Ranking,
    plan_pruning,
    plot_ranking,
)

matplotlib = pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("no_windows")


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


def texts_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_group_stands_in_the_order_of_removal(ranking):
    ax = plot_ranking(ranking, "conv", cut=0.5)
    assert points_in(ax) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert cuts_in(ax) == [1.5]
    assert ax.get_title() == "conv: 4 → 2\nscores: method"
    assert ax.get_xlabel() == "units, in order of removal"
    bars = [bar for c in ax.containers for bar in c[2][0].get_segments()]
    lengths = sorted(float(high - low) for (_, low), (_, high) in bars)
    np.testing.assert_allclose(lengths, [0.2, 0.4, 0.6])  # none for the unsampled one
    words = ["removed", "cut", "kept", "± standard error", "not sampled (pale)"]
    assert texts_of(ax) == words


def test_the_legend_has_what_is_drawn_and_covers_nothing(ranking):
    ax = plot_ranking(ranking, "dense")
    assert texts_of(ax) == ["± standard error"]
    one = GroupScores(np.array([1.0, 2.0]), np.zeros(2), 1)
    assert plot_ranking(Ranking({"a": one}, "norms", 0)).get_legend() is None
    for groups in (None, "conv"):
        ax = plot_ranking(ranking, groups, cut=0.5)
        ax.figure.canvas.draw()
        legend = ax.get_legend().get_window_extent()
        for drawn in [ax.title, *(ax.child_axes or [ax])]:
            box = drawn.get_window_extent()
            assert not legend.overlaps(box), (groups, drawn)


def test_each_group_has_a_panel(ranking):
    ax = plot_ranking(ranking)
    conv, dense = ax.child_axes
    assert points_in(conv)[1] == [1, 2, 3, 4]
    assert points_in(dense)[1] == [-1, 2]
    titles = [panel.get_title(loc="left") for panel in ax.child_axes]
    assert titles == ["conv\n4 units", "dense\n2 units"]
    assert not cuts_in(conv)
    assert "method" in ax.get_title(loc="left")


def test_a_scale_is_logarithmic_where_values_span_it():
    wide, narrow = np.geomspace(1, 9, 4), np.linspace(1, 2, 4)
    groups = {
        name: GroupScores(values, np.zeros(4), 1)
        for name, values in (("wide", wide), ("narrow", narrow), ("both", wide - 3))
    }
    ax = plot_ranking(Ranking(groups, "method", 5))
    scales = [panel.get_yscale() for panel in ax.child_axes]
    assert scales == ["log", "linear", "linear"]


def test_units_that_do_nothing_are_triangles_at_the_edge():
    values = np.array([1e-8, 1.0, 2.0, 8.0])
    ranking = Ranking({"conv": GroupScores(values, np.zeros(4), 1)}, "method", 5)
    ax = plot_ranking(ranking, cut=0.25)
    drawn = [line for line in ax.lines if line.get_marker() == "v"]
    assert [line.get_xydata().tolist() for line in drawn] == [[[0, ax.get_ylim()[0]]]]
    assert points_in(ax) == ([1, 2, 3], [1, 2, 8])
    assert texts_of(ax)[-1] == "below the axis"


@pytest.mark.parametrize("count", [5, 25, pytest.param(60, marks=pytest.mark.slow)])
def test_names_and_numbers_do_not_touch_the_next_panel(count):
    values = np.geomspace(1e-6, 1, 4)
    scores = GroupScores(values, values / 10, 1)
    names = [f"backbone/block{n}_a_long_name_of_a_layer" for n in range(count)]
    ax = plot_ranking(Ranking(dict.fromkeys(names, scores), "method", 5), cut=0.5)
    assert len(ax.child_axes) == count
    assert "without 'backbone/'" in ax.get_title(loc="left")
    ax.figure.canvas.draw()
    boxes = [panel.get_tightbbox() for panel in ax.child_axes]
    for at, box in enumerate(boxes):
        for other in boxes[at + 1 :]:
            assert not box.overlaps(other)


def test_cuts_come_from_plans_and_dicts(ranking):
    assert cuts_in(plot_ranking(ranking, ["conv"], {"conv": 3})) == [2.5]
    model = models.classifier()
    found = BaselineRanker("l1_norm").rank(model)
    plan = plan_pruning(model, found, {"conv": 0.34})
    assert cuts_in(plot_ranking(found, "conv", plan)) == [1.5]


def test_it_draws_on_given_axes(ranking):
    _, (left, right) = matplotlib.pyplot.subplots(1, 2)
    assert plot_ranking(ranking, "conv", ax=left) is left
    assert plot_ranking(ranking, ax=right) is right
    assert not left.child_axes and len(right.child_axes) == 2


def test_wrong_arguments(ranking):
    with pytest.raises(ValueError, match="'pool'"):
        plot_ranking(ranking, "pool")
    for cut in (1.5, "half"):
        with pytest.raises(ValueError, match="`cut` should be"):
            plot_ranking(ranking, cut=cut)


def test_without_matplotlib(ranking, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot_ranking(ranking)
