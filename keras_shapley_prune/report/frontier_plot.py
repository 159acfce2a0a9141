"""A frontier as a picture: what models achieve against what they cost."""

from keras_shapley_prune.inputs.arguments import check_choice
from keras_shapley_prune.report.frontier import FrontierPoint
from keras_shapley_prune.report.panels import (
    check_list,
    describe_axes,
    finish,
    format_percent,
    get_axes,
)

_COSTS = {"flops": "FLOPs of one example", "parameters": "parameters"}
_SEVERAL = "0.3"  # the colour of what is said of several lines
# Where a label may stand, in points from its point: beside lines that rise, first.
_NEAR = [(-6, 6), (0, 9), (6, -6), (6, 6), (-6, -6), (0, -9), (9, 0), (-9, 0)]
_OFFSETS = _NEAR + [(2 * x, 2 * y) for x, y in _NEAR]


def plot_frontier(points, *, cost="flops", ax=None):
    """Draws a metric against what the pruned models cost.

    The ratio of each model stands at its point. The original is a diamond.

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
    check_choice("cost", cost, tuple(_COSTS))
    named = isinstance(points, dict) and len(points) > 0
    lines = points if named else {"pruned": points}
    for line in lines.values():
        check_list("points", line, FrontierPoint, "measure_frontier")
        _check_known(line, cost)
    ax = get_axes(ax)
    handles, labels, originals = [], [], set()
    for label, line in lines.items():
        # By cost, as the line would otherwise run to and fro.
        line = sorted(line, key=lambda point: getattr(point, cost))
        places = [(getattr(point, cost), point.value) for point in line]
        handles += ax.plot(*zip(*places, strict=True), marker="o", label=str(label))
        color = handles[-1].get_color()
        for point, place in zip(line, places, strict=True):
            if point.ratio:
                labels.append((place, format_percent(point.ratio), color))
            else:
                originals.add(place)
    if originals:
        style = {"marker": "D", "linestyle": "", "color": "0.15", "markersize": 7}
        drawn = ax.plot(*zip(*sorted(originals), strict=True), zorder=3, **style)
        drawn[0].set_label("original")
        handles += drawn
    # From zero, so that lengths on the axis can be compared.
    ax.set_xlim(left=0)
    ax.margins(y=0.12)
    ax.xaxis.set_major_formatter(_engineering())
    metric = next(iter(lines.values()))[0].metric
    name = f"{_COSTS[cost]} (at the points: the share to be removed)"
    describe_axes(ax, f"{metric} against {_COSTS[cost]}", (name, metric), handles)
    _write_labels(ax, _merge(ax, labels))
    return finish(ax)


def _merge(ax, labels):
    """Returns labels, those of several lines at one cost as one, at the highest point.

    Args:
        ax: The `Axes`, with all that is drawn on it.
        labels: List of tuples: point, text and colour.
    """
    one_place, merged = 0.02 * ax.get_xlim()[1], {}
    for (x, y), text, color in sorted(labels):
        for (cost, other), ((_, highest), _) in merged.items():
            if other == text and abs(cost - x) < one_place:
                merged[cost, other] = ((x, max(y, highest)), _SEVERAL)
                break
        else:
            merged[x, text] = ((x, y), color)
    return [(place, text, color) for (_, text), (place, color) in merged.items()]


def _write_labels(ax, labels):
    """Writes a text beside each of some points, where it covers no other.

    Args:
        ax: The `Axes`, with all that is drawn on it.
        labels: List of tuples: point, text and colour.
    """
    ax.autoscale_view()
    pixels = ax.figure.dpi / 72
    taken = [
        _box(*ax.transData.transform(point), 8, 8, pixels)
        for line in ax.lines
        for point in line.get_xydata()
    ]
    for place, text, color in labels:
        x, y = ax.transData.transform(place)
        width = 5.5 * len(text)

        def box(offset, x=x, y=y, width=width):
            # The text begins or ends at its place, or has it in its middle.
            right = offset[0] and offset[0] / abs(offset[0]) * width / 2
            across = x + pixels * (offset[0] + right)
            return _box(across, y + pixels * offset[1], width, 9, pixels)

        free = (o for o in _OFFSETS if not any(_overlap(box(o), b) for b in taken))
        offset = next(free, _OFFSETS[0])
        taken.append(box(offset))
        ax.annotate(
            text,
            place,
            offset,
            textcoords="offset points",
            fontsize=8,
            color=color,
            ha="center" if not offset[0] else "left" if offset[0] > 0 else "right",
            va="center",
        )


def _box(x, y, width, height, pixels):
    """Returns the edges of a box about a point: sizes are in points, the rest not."""
    half = width * pixels / 2, height * pixels / 2
    return x - half[0], x + half[0], y - half[1], y + half[1]


def _overlap(one, other):
    apart = one[1] < other[0] or other[1] < one[0]
    return not (apart or one[3] < other[2] or other[3] < one[2])


def _check_known(points, cost):
    if any(getattr(point, cost) is None for point in points):
        raise ValueError(
            f"Argument `points` should be of models of known {cost}. "
            f"Received: points={points!r}"
        )


def _engineering():
    # Late, like `pyplot`: everything else works without matplotlib.
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")
