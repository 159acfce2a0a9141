"""Pictures of rankings and of what pruning costs, drawn by matplotlib."""

import keras
import numpy as np

from keras_shapley_prune.plan.budget import check_ratio
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.report.ablation import measure_ablation
from keras_shapley_prune.report.frontier import FrontierPoint, measure_frontier

REMOVED, KEPT = "#c44e52", "#4c72b0"


def plot_ranking(ranking, groups=None, cut=None, ax=None):
    """Draws the score of every unit, with its standard error, and the cut.

    The units of a group stand in the order in which they leave, group after group.
    Units that were not sampled have no error bar and are pale. The axis of the scores
    is logarithmic if all of them are above zero.

    Args:
        ranking: A `Ranking`.
        groups: `None` for all groups, or a group name, or a list of them.
        cut: What leaves: a float in [0, 1), the share of each group; a `PruningPlan`;
            a dict: group name -> number of units that leave; or `None`, to draw no
            cut.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones.

    Returns:
        The `Axes`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If a group is not in the ranking, or `cut` is not of that form.

    Example:

    ```python
    axes = keras_shapley_prune.plot_ranking(ranking, "conv2d", cut=0.5)
    axes.figure.savefig("conv2d.png")
    ```
    """
    names = [groups] if isinstance(groups, str) else list(groups or ranking)
    for name in names:
        if name not in ranking:
            raise ValueError(
                f"Argument `groups` should hold groups of the ranking: {list(ranking)}."
                f" Received: {name!r}"
            )
    counts = _count_removed(ranking, names, cut)
    ax = _get_axes(ax)
    start, centers = 0, []
    for name in names:
        _draw_group(ax, ranking[name], start, counts[name], labelled=start == 0)
        size = len(ranking[name].values)
        if counts[name] is not None:
            ax.axvline(
                start + counts[name] - 0.5, color="0.4", linestyle="--", linewidth=1
            )
        centers.append(start + (size - 1) / 2)
        start += size + max(2, size // 20)
    values = np.concatenate([ranking[name].values for name in names])
    if np.nanmin(values) > 0:
        ax.set_yscale("log")
    if len(names) > 1:
        ax.set_xticks(centers, names, rotation=20, ha="right")
    else:
        ax.set_title(names[0])
        ax.set_xlabel("units, first to leave first")
    ax.set_ylabel("score")
    if cut is not None:
        ax.legend(fontsize="small", frameon=False, loc="upper left")
    return _finish(ax)


def plot_ablation(
    model, ranking=None, dataset=None, metric="loss", layers=None, num_points=9, ax=None
):
    """Draws a metric as the units of each group leave, in the order of a ranking.

    Args:
        model: What `measure_ablation` returned; then the next arguments are not read.
            Or a compiled `keras.Model`, to be measured now.
        ranking: See `measure_ablation`.
        dataset: See `measure_ablation`.
        metric: See `measure_ablation`.
        layers: See `measure_ablation`.
        num_points: See `measure_ablation`.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones.

    Returns:
        The `Axes`, a line for each group.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: See `measure_ablation`.

    Example:

    ```python
    keras_shapley_prune.plot_ablation(model, ranking, (x, y), "accuracy")
    ```
    """
    ax, curves = _get_axes(ax), model
    if isinstance(model, keras.Model):
        curves = measure_ablation(model, ranking, dataset, metric, layers, num_points)
    for curve in curves:
        shares = np.array(curve.num_removed) / curve.num_units
        ax.plot(shares, curve.values, marker="o", markersize=3, label=curve.group)
        ax.set_ylabel(curve.metric)
    ax.set_xlabel("share of the group's units that is masked")
    ax.xaxis.set_major_formatter(_percent)
    ax.set_xlim(0, 1)
    ax.legend(fontsize="small", frameon=False)
    return _finish(ax)


def plot_frontier(
    points,
    ranking=None,
    dataset=None,
    ratios=(0.25, 0.5, 0.75),
    *,
    cost="flops",
    ax=None,
    **options,
):
    """Draws a metric against what the pruned models cost.

    Args:
        points: What `measure_frontier` returned, or a dict: label -> such a list, to
            compare several; then the next arguments are not read. Or a `keras.Model`,
            to be pruned and measured now.
        ranking: See `measure_frontier`.
        dataset: See `measure_frontier`.
        ratios: See `measure_frontier`.
        cost: `"flops"` or `"parameters"`, the horizontal axis.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones.
        **options: See `measure_frontier`.

    Returns:
        The `Axes`, a line for each list of points.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is not of that form.

    Example:

    ```python
    points = keras_shapley_prune.measure_frontier(model, ranking, (x, y), (0.25, 0.5))
    keras_shapley_prune.plot_frontier({"Shapley": points})
    ```
    """
    if cost not in ("flops", "parameters"):
        raise ValueError(
            "Argument `cost` should be 'flops' or 'parameters'. "
            f"Received: cost={cost!r}"
        )
    ax = _get_axes(ax)
    if isinstance(points, keras.Model):
        points = measure_frontier(points, ranking, dataset, ratios, **options)
    lines = points if isinstance(points, dict) else {None: points}
    for label, line in lines.items():
        _check_points(line, cost)
        line = sorted(line, key=lambda point: getattr(point, cost))
        costs = [getattr(point, cost) for point in line]
        ax.plot(costs, [point.value for point in line], marker="o", label=label)
        ax.set_ylabel(line[0].metric)
    ax.set_xlabel({"flops": "FLOPs of one example", "parameters": "parameters"}[cost])
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(_engineering())
    if isinstance(points, dict):
        ax.legend(frameon=False)
    return _finish(ax)


def _draw_group(ax, scores, start, count, labelled):
    """Draws the units of one group, from the place `start` on."""
    order = scores.order
    values, errors = scores.values[order], scores.standard_errors[order]
    positions, sampled = start + np.arange(len(order)), np.isfinite(errors)
    leaves = np.arange(len(order)) < (count or 0)
    kinds = ((leaves, REMOVED, "removed"), (~leaves, KEPT, "kept"))
    for chosen, color, label in kinds:
        known = chosen & sampled
        ax.errorbar(
            positions[known],
            values[known],
            errors[known],
            fmt="o",
            markersize=3,
            color=color,
            ecolor=(color, 0.5),
            label=label if labelled else None,
        )
        alone = chosen & ~sampled
        ax.plot(
            positions[alone], values[alone], "o", markersize=3, color=color, alpha=0.45
        )


def _count_removed(ranking, names, cut):
    """Returns a dict: group name -> how many units leave, `None` for no cut."""
    if cut is None:
        return dict.fromkeys(names)
    if isinstance(cut, PruningPlan):
        cut = {name: before - after for name, (before, after) in cut.units.items()}
    if isinstance(cut, dict):
        return {name: cut.get(name, 0) for name in names}
    try:
        check_ratio(cut)
    except ValueError as error:
        raise ValueError(
            "Argument `cut` should be a float in [0, 1), a `PruningPlan`, a dict or "
            f"None. Received: cut={cut!r}"
        ) from error
    sizes = {name: len(ranking[name].values) for name in names}
    return {name: int(cut * size + 0.5) for name, size in sizes.items()}


def _check_points(points, cost):
    whole = bool(points) and all(isinstance(p, FrontierPoint) for p in points)
    if not whole or any(getattr(point, cost) is None for point in points):
        raise ValueError(
            "Argument `points` should be a list of `FrontierPoint` of known "
            f"{cost}, such as `measure_frontier` returns. Received: {points!r}"
        )


def _get_axes(ax):
    """Returns the axes to draw on; imports matplotlib only now."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib: `pip install 'keras-shapley-prune[plots]'`"
        ) from error
    return pyplot.subplots(layout="constrained")[1]


def _finish(ax):
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _percent(value, _):
    return f"{value:.0%}"


def _engineering():
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")
