"""The graph of a model as a picture: a colour for each group of units."""

import colorsys
import pathlib

import numpy as np

from keras_shapley_prune.inputs.arguments import check_choice, check_integer
from keras_shapley_prune.inputs.paths import check_target
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.report.channel_report import channel_report

LOCKED, NEUTRAL = "#767676", "#f4f4f2"
MOST_COLORS = 6  # on one edge
MOST_REASONS = 3  # in one tooltip


@undisturbed
def plot_channels(model, to_file=None, rankdir="TB", dpi=100, channel_map=None):
    """Draws the layers of a model, and where the units of each group go.

    A layer that produces units is filled with the colour of its group, and an edge has
    the colours of the groups it carries. A layer with locked units has a dashed
    border; the reason is written in it, and in full in the tooltip (of an SVG file).

    Args:
        model: A built Sequential or functional `keras.Model`.
        to_file: String or path-like, or `None`. The ending says the format: `.png`,
            `.svg`, `.pdf`, which need the program `dot` of Graphviz, or `.dot`.
        rankdir: `"TB"` from top to bottom, or `"LR"` from left to right.
        dpi: Integer, dots per inch.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.

    Returns:
        The `pydot.Dot` graph. `to_string()` is its source.

    Raises:
        ImportError: If pydot is not installed, or Graphviz, to write a picture.
        ValueError: If an argument is not of that form.

    Example:

    ```python
    keras_shapley_prune.plot_channels(model, "channels.svg")
    ```
    """
    check_choice("rankdir", rankdir, ("TB", "LR"))
    check_integer("dpi", dpi, 1)
    if to_file is not None:
        check_target(to_file, "to_file", make_folders=False)
    pydot = _import_pydot()
    report = channel_report(model, channel_map)
    dot = pydot.Dot(_quote(model.name), graph_type="digraph", rankdir=rankdir, dpi=dpi)
    dot.set_node_defaults(
        shape="box",
        style='"filled,rounded"',
        fontname="Helvetica",
        fontsize="11",
        fillcolor=_quote(NEUTRAL),
        color=_quote(LOCKED),
    )
    dot.set_edge_defaults(color=_quote(LOCKED), arrowsize="0.7")
    _Drawing(report, pydot, dot).draw()
    if to_file is not None:
        _write(dot, pathlib.Path(to_file))
    return dot


def pick_colors(count):
    """Returns colours that are told apart by hue, and dark text can stand on.

    Args:
        count: Integer.

    Returns:
        List of strings such as `"#8fc7e8"`.
    """
    golden = 0.618034  # spreads hues evenly, however many there are
    colors = []
    for index in range(count):
        # After eight hues the next ones come close to them: they are a little darker.
        value = 0.91 - 0.07 * (index // 8 % 3)
        color = colorsys.hsv_to_rgb((0.56 + golden * index) % 1, 0.42, value)
        colors.append("#" + "".join(f"{round(255 * part):02x}" for part in color))
    return colors


class _Drawing:
    """Nodes and edges of one graph."""

    def __init__(self, report, pydot, dot):
        self._report, self._pydot, self._dot = report, pydot, dot
        self._map = report.channel_map
        colors = pick_colors(len(self._map.groups))
        self._color_of = np.full(self._map.num_units + 1, "", object)  # FIXED: the last
        self._group_of = np.full(self._map.num_units + 1, "", object)
        for group, color in zip(self._map.groups, colors, strict=True):
            self._color_of[group.units] = color
            self._group_of[group.units] = group.name

    def draw(self):
        graph, drawn, sources = self._map.graph, {}, {}
        for index, tensor in enumerate(graph.inputs):
            sources[tensor] = self._add_end(f"input{index}", f"input {tensor.name}")
        for call in graph.calls:
            # A shared layer is one box, with an arrow for each call.
            if call.operation not in drawn:
                drawn[call.operation] = f"call{call.index}"
                self._add_layer(drawn[call.operation], call)
            for tensor in call.inputs:
                self._add_edge(sources[tensor], drawn[call.operation], tensor)
            sources.update(dict.fromkeys(call.outputs, drawn[call.operation]))
        for index, tensor in enumerate(graph.outputs):
            end = self._add_end(f"output{index}", f"output {index}")
            self._add_edge(sources[tensor], end, tensor)

    def _add_end(self, key, label):
        options = {"shape": "ellipse", "fillcolor": _quote("#ffffff")}
        self._dot.add_node(self._pydot.Node(key, label=_quote(label), **options))
        return key

    def _add_layer(self, key, call):
        name, kind = (
            self._map.graph.name_of(call.operation),
            type(innermost(call.operation)).__name__,
        )
        lines, options = [name, kind], {}
        ids = self._produced_by(call.operation)
        groups = _unique(self._group_of[ids])
        if groups:
            # Graphviz draws several colours as stripes of a box, or as parallel lines.
            fill = ":".join(_unique(self._color_of[ids])[:MOST_COLORS])
            options["fillcolor"] = _quote(fill)
            if ":" in fill:
                options["style"] = _quote("striped")
            # A unit at several positions, as before a reshape, counts once.
            count = sum(1 for unit in set(ids.tolist()) if self._group_of[unit])
            lines.append(f"{count} units" + _suffix(groups, name))
        reasons = self._report.locked.get(name, {})
        tip = f"{name}: " + (", ".join(groups) or "no units of its own")
        if reasons:
            options["penwidth"] = "2"
            style = "striped" if "style" in options else "filled,rounded"
            options["style"] = _quote(f"{style},dashed")
            lines.append("locked: " + _shorten(next(iter(reasons))))
            shown = list(reasons.items())[:MOST_REASONS]
            tip = f"{name} is locked: " + "; ".join(reason for reason, _ in shown)
        options["tooltip"] = _quote(tip)
        node = self._pydot.Node(key, label=_quote("\n".join(lines)), **options)
        self._dot.add_node(node)

    def _add_edge(self, start, end, tensor):
        across = self._map.across.get(tensor, {}).values()
        ids = np.concatenate([self._map.ids[tensor], *across])
        colors, groups = _unique(self._color_of[ids]), _unique(self._group_of[ids])
        options = {"tooltip": _quote(", ".join(groups) or "no removable units")}
        if colors:
            options["color"] = _quote(":".join(colors[:MOST_COLORS]))
            options["penwidth"] = "2.5"
        options["edgetooltip"] = options["tooltip"]
        self._dot.add_edge(self._pydot.Edge(start, end, **options))

    def _produced_by(self, operation):
        """Returns the units that an operation produces."""
        found = [
            self._map.layer_ids[maker][letter]
            for maker, letter in self._map.produced
            if maker is operation
        ]
        # The empty list is for an operation that produces nothing.
        ids = np.concatenate([*found, []]).astype(int)
        return ids[ids != FIXED]


def _suffix(groups, name):
    others = [group for group in groups if group != name]
    return f", group {', '.join(others[:2])}" if others else ""


def _unique(labels):
    return list(dict.fromkeys(label for label in labels if label))


def _shorten(text, length=44):
    return text if len(text) <= length else text[: length - 1] + "…"


def _quote(text):
    # Quotes and backslashes would end or change a string of the dot language.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _write(dot, path):
    ending = path.suffix[1:].lower()
    # The source of the picture needs no Graphviz.
    if ending == "dot":
        path.write_text(dot.to_string(), encoding="utf-8")
        return
    if ending not in ("png", "svg", "pdf"):
        raise ValueError(
            "Argument `to_file` should end in .png, .svg, .pdf or .dot. "
            f"Received: to_file={str(path)!r}"
        )
    try:
        dot.write(str(path), format=ending)
    except FileNotFoundError as error:
        raise ImportError(
            "To write a picture Graphviz is needed, such as by "
            "`apt-get install graphviz`; a file that ends in .dot does not need it"
        ) from error


def _import_pydot():
    try:
        import pydot
    except ImportError as error:
        raise ImportError(
            "Plots of channels need pydot: `pip install 'keras-shapley-prune[plots]'`"
        ) from error
    return pydot
