"""The scores of a ranking as a picture: a panel for each group, and the cut."""

import numpy as np

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.plan.budget import check_ratio
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.plan.selection import check_scores
from keras_shapley_prune.report.panels import (
    KEPT,
    REMOVED,
    add_panels,
    describe_axes,
    describe_panels,
    finish,
    get_axes,
    name_panel,
)
from keras_shapley_prune.report.scales import find_limits, find_ticks, format_tick
from keras_shapley_prune.report.short_names import drop_prefix

_PALE = 0.4
_ORDER = "units, in order of removal"
_SCORE = "score: the higher, the more a unit is worth"
_OWN_SCALES = "each group has its own scale"


def plot_ranking(ranking, groups=None, cut=None, ax=None):
    """Draws the score of every unit, with its standard error, and the cut.

    Each group has a panel with a scale of its own, which is logarithmic if all scores
    are above zero and the highest is more than five times the lowest. Units are drawn
    in the order in which they are removed. Units that were not sampled are pale and
    have no error bar: their score is what the removal of each alone costs. Scores far
    below the others are triangles at the lower edge.

    Args:
        ranking: A `Ranking`.
        groups: `None` for all groups, or a group name, or a list of them.
        cut: What is removed: a float in [0, 1), the share of each group; a
            `PruningPlan`; a dict: group name -> number of units; or `None`, to draw
            no cut.
        ax: `matplotlib.axes.Axes` to draw on, or `None` for new ones, of a figure
            that is as high as the groups need.

    Returns:
        The `Axes`. Where there are several groups, they are `axes.child_axes`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If a group is not in the ranking, or `cut` is not of that form.

    Example:

    ```python
    axes = keras_shapley_prune.plot_ranking(ranking, cut=0.5)
    axes.figure.savefig("ranking.png")
    axes = keras_shapley_prune.plot_ranking(ranking, "conv2d", cut=0.5)
    ```
    """
    check_scores(ranking)
    names = _choose_groups(ranking, groups)
    counts = _count_removed(ranking, names, cut)
    ax = get_axes(ax, len(names))
    prefix, short = drop_prefix(names)
    single = len(names) == 1
    panels = [ax] if single else add_panels(ax, len(names), left=0.42)
    for panel, name in zip(panels, names, strict=True):
        _draw_group(panel, ranking[name], counts[name])
        if not single:
            size = _describe_size(ranking[name], counts[name])
            name_panel(panel, short[name], size, len(names))
    handles = _make_legend([ranking[name] for name in names], counts)
    title = f"scores: {getattr(ranking, 'method', 'of the ranking')}"
    if single:
        size = _describe_size(ranking[names[0]], counts[names[0]])
        title = f"{names[0]}: {size}\n{title}"
        describe_axes(ax, title, (_ORDER, "score"), handles)
        return finish(ax)
    title += f" (names without {prefix!r})" if prefix else ""
    describe_panels(ax, title, (f"{_ORDER}; {_OWN_SCALES}", _SCORE), handles)
    return ax


def _describe_size(scores, removed):
    """Returns how many units a group has, and how many of them are kept."""
    size = len(scores.values)
    return f"{size} units" if removed is None else f"{size} → {size - removed}"


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


def _draw_group(ax, scores, count):
    """Draws the units of one group, and the cut."""
    order = scores.order
    values, errors = scores.values[order], scores.standard_errors[order]
    positions, sampled = np.arange(len(order)), np.isfinite(errors)
    # The first ones of the order are those that are removed.
    removed = positions < (count or 0)
    size = 2.5 if len(order) < 200 else 1.5
    low, high, logarithmic = find_limits(values, np.where(sampled, errors, 0))
    below = values < low
    for chosen, color in ((removed, REMOVED), (~removed, KEPT)):
        if (chosen & below).any():  # nothing that is not clipped would be at (0, 0)
            points = positions[chosen & below], np.full(np.sum(chosen & below), low)
            ax.plot(*points, "v", markersize=2 * size, color=color, clip_on=False)
        chosen = chosen & ~below
        known = chosen & sampled
        points = positions[known], values[known], errors[known]
        ax.errorbar(*points, fmt="o", markersize=size, color=color, ecolor=(color, 0.5))
        # Never sampled: what is known of them is what the loss of each alone costs.
        alone = chosen & ~sampled
        points = positions[alone], values[alone]
        ax.plot(*points, "o", markersize=size, color=color, alpha=_PALE)
    if count is not None:
        ax.axvline(count - 0.5, color="0.4", linestyle="--", linewidth=1)
    ax.set_yscale("log" if logarithmic else "linear")
    ax.minorticks_off()
    ticks = find_ticks(low, high, logarithmic)
    ax.set_yticks(ticks, list(map(format_tick, ticks)))
    ax.set(ylim=(low, high), xlim=(-0.7, len(order) - 0.3), xticks=[])


def _has_far_below(scores):
    """Returns whether a score is below the axis."""
    errors = np.where(np.isfinite(scores.standard_errors), scores.standard_errors, 0)
    return bool((scores.values < find_limits(scores.values, errors)[0]).any())


def _make_legend(scores, counts):
    """Returns the entries of what is drawn, a list."""
    from matplotlib.lines import Line2D  # late, like pyplot

    cut = any(count is not None for count in counts.values())
    errors = np.concatenate([one.standard_errors for one in scores])
    dot = {"marker": "o", "linestyle": "", "markersize": 4}
    handles = []
    if cut:
        handles += [
            Line2D([], [], color=REMOVED, label="removed", **dot),
            Line2D([], [], color="0.4", linestyle="--", linewidth=1, label="cut"),
            Line2D([], [], color=KEPT, label="kept", **dot),
        ]
    if (np.isfinite(errors) & (errors > 0)).any():
        label = "± standard error"
        handles.append(Line2D([], [], color=(KEPT, 0.5), linewidth=1.5, label=label))
    if not np.isfinite(errors).all():
        label = "not sampled (pale)"
        handles.append(Line2D([], [], color=KEPT, alpha=_PALE, label=label, **dot))
    if any(map(_has_far_below, scores)):
        style = {"marker": "v", "linestyle": "", "markersize": 5}
        color = REMOVED if cut else KEPT
        handles.append(Line2D([], [], color=color, label="below the axis", **style))
    return handles


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
