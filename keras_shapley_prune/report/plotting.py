"""Pictures of rankings and of what pruning costs, drawn by matplotlib."""

import numpy as np

from keras_shapley_prune.inputs.arguments import check_choice, show
from keras_shapley_prune.plan.budget import check_ratio
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.plan.selection import check_scores
from keras_shapley_prune.report.ablation import AblationCurve
from keras_shapley_prune.report.frontier import FrontierPoint

REMOVED, KEPT = "#c44e52", "#4c72b0"


def plot_ranking(ranking, groups=None, cut=None, ax=None):
    """Draws the score of every unit, with its standard error, and the cut.

    The units of a group are drawn in the order in which they are removed, group after
    group. Units that were not sampled have no error bar and are pale. The axis of the
    scores is logarithmic if all of them are above zero.

    Args:
        ranking: A `Ranking`.
        groups: `None` for all groups, or a group name, or a list of them.
        cut: What is removed: a float in [0, 1), the share of each group; a
            `PruningPlan`; a dict: group name -> number of units; or `None`, to draw
            no cut.
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
    check_scores(ranking)
    names = _choose_groups(ranking, groups)
    counts = _count_removed(ranking, names, cut)
    ax = _get_axes(ax)
    start, centers = 0, []
    for name in names:
        # One entry of the legend for all groups.
        _draw_group(ax, ranking[name], start, counts[name], labelled=start == 0)
        size = len(ranking[name].values)
        if counts[name] is not None:
            ax.axvline(
                start + counts[name] - 0.5, color="0.4", linestyle="--", linewidth=1
            )
        centers.append(start + (size - 1) / 2)
        start += size + max(2, size // 20)  # a gap between groups
    values = np.concatenate([ranking[name].values for name in names])
    if np.nanmin(values) > 0:  # values of units often span decades
        ax.set_yscale("log")
    if len(names) > 1:
        ax.set_xticks(centers, names, rotation=20, ha="right")
    else:
        ax.set_title(names[0])
        ax.set_xlabel("units, in order of removal")
    ax.set_ylabel("score")
    if cut is not None:
        ax.legend(fontsize="small", frameon=False, loc="upper left")
    return _finish(ax)


def plot_ablation(curves, ax=None):
    """Draws a metric as the units of each group are masked, in order of a ranking.

    Args:
        curves: List of `AblationCurve`, what `measure_ablation` returned.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones.

    Returns:
        The `Axes`, a line for each group.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `curves` is not of that form.

    Example:

    ```python
    curves = keras_shapley_prune.measure_ablation(model, ranking, (x, y), "accuracy")
    keras_shapley_prune.plot_ablation(curves)
    ```
    """
    _check_list("curves", curves, AblationCurve, "measure_ablation")
    ax = _get_axes(ax)
    for curve in curves:
        shares = np.array(curve.num_removed) / curve.num_units
        ax.plot(shares, curve.values, marker="o", markersize=3, label=curve.group)
        ax.set_ylabel(curve.metric)
    ax.set_xlabel("share of the group's units that is masked")
    ax.xaxis.set_major_formatter(_percent)
    ax.set_xlim(0, 1)
    ax.legend(fontsize="small", frameon=False)
    return _finish(ax)


def plot_frontier(points, *, cost="flops", ax=None):
    """Draws a metric against what the pruned models cost.

    Args:
        points: List of `FrontierPoint`, what `measure_frontier` returned. Or a dict:
            label -> such a list, to compare several.
        cost: `"flops"` or `"parameters"`, the horizontal axis.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones.

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
    check_choice("cost", cost, ("flops", "parameters"))
    # A line without a label is not in the legend.
    lines = points if isinstance(points, dict) and points else {None: points}
    for line in lines.values():
        _check_list("points", line, FrontierPoint, "measure_frontier")
        _check_known(line, cost)
    ax = _get_axes(ax)
    for label, line in lines.items():
        # By cost, as the line would otherwise run to and fro.
        line = sorted(line, key=lambda point: getattr(point, cost))
        costs = [getattr(point, cost) for point in line]
        ax.plot(costs, [point.value for point in line], marker="o", label=label)
        ax.set_ylabel(line[0].metric)
    ax.set_xlabel({"flops": "FLOPs of one example", "parameters": "parameters"}[cost])
    # From zero, so that lengths on the axis can be compared.
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(_engineering())
    if isinstance(points, dict):
        ax.legend(frameon=False)
    return _finish(ax)


def _choose_groups(ranking, groups):
    """Returns the names of the groups that are drawn, a list."""
    if groups is None:
        return list(ranking)
    # A string would be read as a list of letters.
    names = [groups] if isinstance(groups, str) else groups
    several = isinstance(names, (list, tuple)) and len(names) > 0
    if not several or not all(isinstance(n, str) and n in ranking for n in names):
        raise ValueError(
            f"Argument `groups` should hold groups of the ranking: {list(ranking)}. "
            f"Received: groups={show(groups)}"
        )
    return list(names)


def _draw_group(ax, scores, start, count, labelled):
    """Draws the units of one group, from the place `start` on."""
    order = scores.order
    values, errors = scores.values[order], scores.standard_errors[order]
    positions, sampled = start + np.arange(len(order)), np.isfinite(errors)
    # The first ones of the order are those that are removed.
    removed = np.arange(len(order)) < (count or 0)
    kinds = ((removed, REMOVED, "removed"), (~removed, KEPT, "kept"))
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
        # Never sampled: what is known of them is what the loss of each alone costs.
        alone = chosen & ~sampled
        ax.plot(
            positions[alone], values[alone], "o", markersize=3, color=color, alpha=0.45
        )


def _count_removed(ranking, names, cut):
    """Returns a dict: group name -> how many units are removed, `None` for no cut."""
    if cut is None:
        return dict.fromkeys(names)
    if isinstance(cut, PruningPlan):
        cut = {name: before - after for name, (before, after) in cut.units.items()}
    if isinstance(cut, dict):
        _check_counts(cut, ranking)
        return {name: cut.get(name, 0) for name in names}
    try:
        check_ratio(cut)
    except ValueError as error:
        raise ValueError(
            "Argument `cut` should be a float in [0, 1), a `PruningPlan`, a dict or "
            f"None. Received: cut={show(cut)}"
        ) from error
    # Half a unit is rounded up, as in `allocate`.
    sizes = {name: len(ranking[name].values) for name in names}
    return {name: int(cut * size + 0.5) for name, size in sizes.items()}


def _check_counts(cut, ranking):
    for name, count in cut.items():
        known = isinstance(name, str) and name in ranking
        size = len(ranking[name].values) if known else 0
        if (
            not known
            or not isinstance(count, (int, np.integer))
            or not 0 <= count <= size
        ):
            raise ValueError(
                "Argument `cut`, where it is a dict, should give for groups of the "
                f"ranking how many of their units are removed. Received: {name!r}: "
                f"{show(count)}" + (f", of a group of {size} units" if known else "")
            )


def _check_list(name, values, kind, maker):
    """Raises a `ValueError` unless an argument is a list of what is drawn."""
    is_list = isinstance(values, (list, tuple)) and len(values) > 0
    if not is_list or not all(isinstance(value, kind) for value in values):
        raise ValueError(
            f"Argument `{name}` should be a list of `{kind.__name__}`, such as "
            f"`{maker}` returns. Received: {name}={show(values)}"
        )


def _check_known(points, cost):
    if any(getattr(point, cost) is None for point in points):
        raise ValueError(
            f"Argument `points` should be of models of known {cost}. "
            f"Received: points={points!r}"
        )


def _get_axes(ax):
    """Returns the axes to draw on; imports matplotlib only now."""
    if ax is not None:
        if not hasattr(ax, "errorbar"):
            raise ValueError(
                "Argument `ax` should be a `matplotlib.axes.Axes` or None. "
                f"Received: ax={show(ax)}"
            )
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
    # Late, like `pyplot`: everything else works without matplotlib.
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")
