"""Tests of the picture of ablation curves."""

import models
import numpy as np
import pytest

from keras_shapley_prune import BaselineRanker, measure_ablation, plot_ablation
from keras_shapley_prune.report.ablation import AblationCurve

matplotlib = pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("no_windows")


CONV = AblationCurve("conv", 4, (0, 2, 3), (0.9, 0.8, 0.3), "accuracy")
DENSE = AblationCurve("dense", 10, (0, 9), (0.9, 0.5), "accuracy")


def curve_in(ax):
    (line,) = [line for line in ax.lines if line.get_marker() == "o"]
    return line.get_xydata().tolist()


def test_each_group_has_a_panel_of_the_same_scale():
    ax = plot_ablation([CONV, DENSE])
    first, second = ax.child_axes
    assert curve_in(first) == [[0, 0.9], [0.5, 0.8], [0.75, 0.3]]
    assert curve_in(second) == [[0, 0.9], [0.9, 0.5]]
    titles = [panel.get_title(loc="left") for panel in ax.child_axes]
    assert titles == ["conv\n4 units", "dense\n10 units"]
    assert first.get_ylim() == second.get_ylim()
    assert ax.get_ylabel() == "accuracy"
    whole = [line.get_ydata()[0] for line in second.lines if line.get_marker() != "o"]
    assert whole == [0.9]


def test_one_group_has_all_of_the_axes():
    _, (left, right) = matplotlib.pyplot.subplots(1, 2)
    ax = plot_ablation([CONV], ax=right)
    assert ax is right and not ax.child_axes
    assert curve_in(ax) == [[0, 0.9], [0.5, 0.8], [0.75, 0.3]]
    assert ax.get_title().startswith("conv: 4 units")
    assert not ax.spines["top"].get_visible() and left.spines["top"].get_visible()


@pytest.mark.parametrize(
    "values", [(0.5, 0.5), (0.0, 0.0), (np.nan, 0.5), (np.nan,) * 2]
)
def test_any_values_can_be_drawn(values):
    curve = AblationCurve("conv", 4, (0, 2), values, "loss")
    plot_ablation([curve, curve]).figure.canvas.draw()


def test_what_is_measured_can_be_drawn():
    model, data = models.classifier(), models.labelled_images(16)
    ranking = BaselineRanker("l1_norm").rank(model)
    curves = measure_ablation(model, ranking, data, "accuracy", "conv", 3, verbose=0)
    drawn = np.array(curve_in(plot_ablation(curves)))
    np.testing.assert_allclose(drawn[:, 1], curves[0].values)


def test_it_takes_data_only():
    """Once a model was taken too, with arguments that lists made meaningless."""
    for wrong in (models.classifier(), [], [1], None):
        with pytest.raises(ValueError, match=r"should be a list of `.*returns"):
            plot_ablation(wrong)
    with pytest.raises(TypeError):
        plot_ablation(models.classifier(), None, models.labelled_images(4))
