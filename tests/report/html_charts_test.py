"""Tests of the SVG charts of a report."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from comparisons import SCORES

from keras_shapley_prune import GroupScores
from keras_shapley_prune.report.group_comparison import GroupComparison
from keras_shapley_prune.report.html_charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    draw_bar,
    draw_scores,
)


def points(svg, *classes):
    """Returns the starts of the strokes of the paths of some classes."""
    found = []
    for path in ElementTree.fromstring(svg).iter("path"):
        if set(classes) <= set(path.get("class").split()):
            pairs = re.findall(r"M([-\d.]+) ([-\d.]+)", path.get("d"))
            found += [(float(x), float(y)) for x, y in pairs]
    return found


def group(values, errors=None, after=1, **fields):
    values = np.asarray(values, float)
    errors = np.full(len(values), 0.01) if errors is None else np.asarray(errors)
    scores = GroupScores(values, errors, 1, **fields)
    return GroupComparison("conv", (len(values), after), (), (), scores)


def test_bar():
    bar = ElementTree.fromstring(draw_bar(40, 10, 80, 'units of "a<b"'))
    assert [float(r.get("width")) for r in bar.iter("rect")] == [50, 12.5]
    assert bar.get("role") == "img"
    assert bar.find("title").text == 'units of "a<b"'
    ElementTree.fromstring(draw_bar(0, 0, 0, "nothing"))


def test_units_stand_in_the_order_of_removal_at_their_scores():
    svg = draw_scores(group([3.0, 1.0, 2.0, 4.0], after=2))
    removed, kept = points(svg, "dot", "removed"), points(svg, "dot", "kept")
    assert (len(removed), len(kept)) == (2, 2)
    together = removed + kept
    assert together == sorted(together)  # from left to right
    heights = [y for _, y in together]
    assert heights == sorted(heights, reverse=True)  # and upwards
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0], atol=0.2)
    ((cut, _),) = points(svg, "cut")
    assert removed[-1][0] < cut < kept[0][0]
    assert "2 removed" in svg and "2 kept" in svg
    assert len(points(svg, "error")) == 4


def test_unsampled_and_unknown_scores():
    svg = draw_scores(GroupComparison("conv", (4, 2), (), (), SCORES))
    assert len(points(svg, "dot")) == 3  # one is NaN
    assert len(points(svg, "alone")) == 1
    assert len(points(svg, "error")) == 2
    assert "from -0.25 to 2" in svg


@pytest.mark.parametrize(
    "values",
    [
        [1e-9, 1e-3, 5.0],
        [0.0, 0.0],
        [-5.0, -1.0, 3.0],
        [7.0],
        [1e6, 2e6],
        [np.nan, 1.0, 2.0],
    ],
)
def test_everything_is_inside(values):
    svg = draw_scores(group(values, errors=np.full(len(values), 0.5)))
    assert "nan" not in svg.lower().replace("nanmin", "")
    for x, y in points(svg, "dot") + points(svg, "error"):
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    labels = ElementTree.fromstring(svg).findall("text")
    assert all(0 <= float(label.get("y")) <= HEIGHT for label in labels)


def test_nothing_left():
    svg = draw_scores(group([1.0, 2.0], after=2))
    assert not points(svg, "cut") and "2 kept" in svg


def test_all_unknown():
    svg = draw_scores(group([np.nan, np.nan]))
    assert not points(svg, "dot")
    assert "nan" not in svg.lower()
