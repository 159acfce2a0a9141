"""Axes to draw on: one for a picture of one group, and small ones side by side."""

import textwrap

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.short_text import shorten

REMOVED, KEPT, SOFT = "#c44e52", "#4c72b0", "0.45"
# In inches; a report is about as wide as a page.
_WIDTH, _PANEL_HEIGHT, _AROUND = 8.5, 0.95, 1.0
_TITLE_ROOM = 0.37  # above each panel
_LINE = 0.2  # of a legend
_BELOW = 0.47  # the numbers and the name of an axis
_LEGEND = {
    "fontsize": 8,
    "frameon": False,
    "borderpad": 0,
    "borderaxespad": 0.4,
    "handletextpad": 0.4,
    "columnspacing": 1.2,
}


def get_axes(ax, num_panels=1):
    """Returns the axes to draw on; imports matplotlib only now.

    Args:
        ax: `matplotlib.axes.Axes`, or `None` for new ones.
        num_panels: Integer, how many groups are drawn there: the figure of new axes
            is as high as they need.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `ax` is something else.
    """
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
            "Plots need the package Matplotlib. Install it with: pip install matplotlib"
        ) from error
    size = None
    if num_panels > 1:
        rows = -(-num_panels // count_columns(num_panels))
        # Few panels are higher: there is room.
        height = _PANEL_HEIGHT * (1.5 if rows < 4 else 1)
        size = _WIDTH, _AROUND + rows * (height + _TITLE_ROOM)
    return pyplot.subplots(layout="constrained", figsize=size)[1]


def count_columns(num_panels):
    """Returns how many panels stand side by side, an integer."""
    if num_panels == 4:  # two and two, not three and one
        return 2
    return min(num_panels, 3 if num_panels <= 6 else 4 if num_panels <= 12 else 5)


def add_panels(ax, num_panels, left, bottom=0.0):
    """Divides axes into small ones, row by row.

    The axes keep their title and the names of both axes, which are those of all panels.

    Args:
        ax: The `matplotlib.axes.Axes`.
        num_panels: Integer.
        left: Float, inches to the left of each panel, for its numbers.
        bottom: Float, inches below each.

    Returns:
        List of `matplotlib.axes.Axes`, which are `ax.child_axes`.
    """
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)
    columns = count_columns(num_panels)
    rows = -(-num_panels // columns)
    box = ax.get_window_extent()
    width, height = (size / ax.figure.dpi for size in (box.width, box.height))
    # Shares of the axes, of which layouts may change the size a little.
    left, bottom, top = left / width, bottom / height, _TITLE_ROOM / height
    panels = []
    for index in range(num_panels):
        row, column = divmod(index, columns)
        place = (
            column / columns + left,
            1 - (row + 1) / rows + bottom,
            1 / columns - left,
            1 / rows - top - bottom,
        )
        panel = ax.inset_axes(place)
        panel.tick_params(labelsize=6.5, length=2, pad=1.5)
        panels.append(finish(panel))
    return panels


def name_panel(ax, name, counts, num_panels):
    """Writes above a panel which group it is, and how many units it has.

    Args:
        ax: The `matplotlib.axes.Axes` of the panel.
        name: String.
        counts: String.
        num_panels: Integer, how many there are.
    """
    large = num_panels <= 12
    ax.set_title(
        f"{shorten(name, 28 if large else 23)}\n{counts}",
        fontsize=8 if large else 7,
        loc="left",
        pad=3,
        linespacing=1.1,
    )


def describe_panels(ax, title, names, handles=()):
    """Writes what all panels show: above them, where it covers nothing.

    Args:
        ax: The `matplotlib.axes.Axes`.
        title: String, which is broken into lines.
        names: Tuple of two strings, the names of the axes.
        handles: Sequence of artists with labels, for the legend.
    """
    room = _LINE * 72 if handles else 0
    ax.set_title("\n".join(_wrap(title, 95)), loc="left", fontsize=10, pad=6 + room)
    ax.set_xlabel(names[0], fontsize=9, labelpad=8)
    ax.set_ylabel(names[1], fontsize=9)
    if handles:
        # The first panels have their names below the axes' upper edge.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": len(handles)}
        ax.legend(handles=handles, **place, **_LEGEND)


def describe_axes(ax, title, names, handles=()):
    """Writes what axes show: the legend below them, where it covers nothing.

    Args:
        ax: See `describe_panels`.
        title: See `describe_panels`.
        names: See `describe_panels`.
        handles: See `describe_panels`.
    """
    width = ax.get_window_extent().width / ax.figure.dpi
    lines = [line for part in title.splitlines() for line in _wrap(part, 14 * width)]
    ax.set_title("\n".join(lines), fontsize=10)
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    if handles:
        from matplotlib.transforms import ScaledTranslation  # late, like pyplot

        # In inches, whatever the size of the axes is: below their name.
        below = _BELOW if len(ax.get_xticks()) else _BELOW - 0.15
        below = ScaledTranslation(0, -below, ax.figure.dpi_scale_trans)
        ax.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=ax.transAxes + below,
            ncols=_count_legend_columns(handles, width),
            **_LEGEND,
        )


def finish(ax):
    """Returns axes without the lines that say nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def format_percent(value, _=None):
    """Returns a share as a label."""
    return f"{100 * value:.3g}%"


def check_list(name, values, kind, maker):
    """Raises a `ValueError` unless an argument is a list of what is drawn.

    Args:
        name: String, the argument.
        values: Its value.
        kind: The class of what the list should hold.
        maker: String, the function that returns such a list.
    """
    is_list = isinstance(values, (list, tuple)) and len(values) > 0
    if not is_list or not all(isinstance(value, kind) for value in values):
        raise ValueError(
            f"Argument `{name}` should be a list of `{kind.__name__}`, such as "
            f"`{maker}` returns. Received: {name}={show(values)}"
        )


def _count_legend_columns(handles, width):
    """Returns how many columns of a legend fit side by side, an integer.

    Args:
        handles: List of artists with labels.
        width: Float, inches.
    """
    widths = [0.38 + 0.058 * len(handle.get_label()) for handle in handles]
    for columns in range(len(handles), 1, -1):
        # Entries go down the columns, as many into each.
        rows = -(-len(widths) // columns)
        starts = range(0, len(widths), rows)
        if sum(max(widths[start : start + rows]) for start in starts) <= width:
            return columns
    return 1


def _wrap(text, length):
    return textwrap.wrap(text, max(int(length), 20))
