"""Ablation curves as a picture: a panel for each group, all on one scale."""

import numpy as np

from keras_shapley_prune.report.ablation import AblationCurve
from keras_shapley_prune.report.panels import (
    KEPT,
    SOFT,
    add_panels,
    check_list,
    count_columns,
    describe_axes,
    describe_panels,
    finish,
    format_percent,
    get_axes,
    name_panel,
)
from keras_shapley_prune.report.scales import find_ticks, format_tick
from keras_shapley_prune.report.short_names import drop_prefix


def plot_ablation(curves, ax=None):
    """Draws a metric as the units of each group are masked, in order of a ranking.

    Each group has a panel. All have the same scale, and a dashed line at what the whole
    network achieves: the sooner a curve parts from it, the more its group is needed.

    Args:
        curves: List of `AblationCurve`, what `measure_ablation` returned.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones, of a figure
            that is as high as the groups need.

    Returns:
        The `Axes`. Where there are several groups, they are `axes.child_axes`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `curves` is not of that form.

    Example:

    ```python
    curves = keras_shapley_prune.measure_ablation(model, ranking, (x, y), "accuracy")
    keras_shapley_prune.plot_ablation(curves)
    ```
    """
    check_list("curves", curves, AblationCurve, "measure_ablation")
    ax = get_axes(ax, len(curves))
    prefix, short = drop_prefix([curve.group for curve in curves])
    single = len(curves) == 1
    columns = count_columns(len(curves))
    panels = [ax] if single else add_panels(ax, len(curves), left=0.36, bottom=0.08)
    values = np.concatenate([curve.values for curve in curves])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0, 1)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1
    low, high = low - margin, high + margin
    for index, (panel, curve) in enumerate(zip(panels, curves, strict=True)):
        _draw_curve(panel, curve, (low, high))
        if single:
            continue
        counts = f"{curve.num_units} units"
        name_panel(panel, short[curve.group], counts, len(curves))
        # Numbers stand at the left and at the bottom only: the scales are the same.
        if index % columns:
            panel.tick_params(labelleft=False)
        if index + columns < len(curves):
            panel.tick_params(labelbottom=False)
    metric = curves[0].metric
    names = "share of the group's units that is masked", metric
    if single:
        counts = f"{curves[0].num_units} units, masked in order of removal"
        describe_axes(ax, f"{curves[0].group}: {counts}", names, _make_legend())
        return finish(ax)
    title = f"{metric} as units are masked in order of removal, without repair"
    title += f" (names without {prefix!r})" if prefix else ""
    describe_panels(ax, title, names, _make_legend())
    return ax


def _draw_curve(ax, curve, limits):
    shares = np.array(curve.num_removed) / curve.num_units
    ax.axhline(curve.values[0], color=SOFT, linestyle="--", linewidth=0.8, zorder=1)
    ax.plot(shares, curve.values, color=KEPT, marker="o", markersize=2.5, linewidth=1.2)
    ticks = find_ticks(*limits, False)
    ax.set_yticks(ticks, list(map(format_tick, ticks)))
    ax.set_xticks([0, 0.5, 1], list(map(format_percent, (0, 0.5, 1))))
    ax.set(xlim=(-0.03, 1.03), ylim=limits)
    ax.grid(color="0.92", linewidth=0.7)
    ax.set_axisbelow(True)


def _make_legend():
    """Returns the entries of what is drawn, a list."""
    from matplotlib.lines import Line2D  # late, like pyplot

    curve = {"marker": "o", "markersize": 3, "linewidth": 1.2}
    dashed = {"linestyle": "--", "linewidth": 0.8}
    return [
        Line2D([], [], color=KEPT, label="units of this group masked", **curve),
        Line2D([], [], color=SOFT, label="nothing masked", **dashed),
    ]
