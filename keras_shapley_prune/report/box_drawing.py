"""The graph of a model, with a box for each block, in rows if it has no branches."""

import html
import itertools
import re
import textwrap

from keras_shapley_prune.inputs.short_text import shorten
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.report.channel_boxes import find_boxes
from keras_shapley_prune.report.channel_colors import (
    LOCKED,
    MOST_COLORS,
    NEUTRAL,
    quote,
    shorten_reason,
)
from keras_shapley_prune.report.graph_drawing import MOST_REASONS, GraphDrawing
from keras_shapley_prune.report.short_names import drop_prefix

_A_ROW, _ALONE = 6, 8  # boxes in a row, and in one that is the only one
_LONGEST = 24  # characters in a box
_MOST_TYPES = 3  # of layers that are named


def draw_boxes(report, pydot, dot):
    """Adds a node for each block of a model, and an edge for each tensor between them.

    Args:
        report: The `Inspection` of the model.
        pydot: The module.
        dot: The `pydot.Dot` to add to.
    """
    _BoxDrawing(report, pydot, dot).draw()


class _BoxDrawing(GraphDrawing):
    """A node for each block."""

    def __init__(self, report, pydot, dot):
        super().__init__(report, pydot, dot)
        self._makers = {operation for operation, _ in self._map.produced}
        makers = [self._map.graph.name_of(operation) for operation in self._makers]
        groups = [group.name for group in self._map.groups]
        self._short = drop_prefix([*makers, *groups])[1]
        self._edges = {}  # (key, key, tensor), in their order

    def draw(self):
        graph, sources, keys = self._map.graph, {}, []
        for index, tensor in enumerate(graph.inputs):
            label = "input" + f" {tensor.name}" * (len(graph.inputs) > 1)
            key = self._add_end(f"input{index}", label)
            sources[tensor] = key
            keys.append(key)
        for index, box in enumerate(find_boxes(graph, self._colors)):
            keys.append(f"box{index}")
            self._add_box(keys[-1], box)
            for call in box.calls:
                for tensor in call.inputs:
                    if sources[tensor] != keys[-1]:
                        self._edges[sources[tensor], keys[-1], tensor] = None
                sources.update(dict.fromkeys(call.outputs, keys[-1]))
        for index, tensor in enumerate(graph.outputs):
            label = "output" + f" {index}" * (len(graph.outputs) > 1)
            keys.append(self._add_end(f"output{index}", label))
            self._edges[sources[tensor], keys[-1], tensor] = None
        in_rows = self._is_path(keys) and len(keys) > _ALONE
        in_rows = in_rows and self._dot.get_rankdir() == "LR"
        # As many in each row, or nearly. The output does not get one of its own.
        num_rows = max(-(-(len(keys) - 1) // _A_ROW), 1)
        a_row = -(-len(keys) // num_rows)
        if in_rows:
            self._lay_out_rows(keys, a_row)
        for start, end, tensor in self._edges:
            options = self._colors.style_edge(tensor)
            if in_rows and keys.index(end) % a_row == 0:
                # From the end of a row to the beginning of the next, wherever that is.
                options["constraint"] = "false"
            self._dot.add_edge(self._pydot.Edge(start, end, **options))

    def _is_path(self, keys):
        """Returns whether each node but the last one is followed by the next alone."""
        pairs = {(start, end) for start, end, _ in self._edges}
        return pairs == set(itertools.pairwise(keys))

    def _lay_out_rows(self, keys, a_row):
        # Graphviz has no rows within "LR". Nodes of the same rank of "TB" are one.
        self._dot.set_rankdir("TB")
        for start in range(0, len(keys), a_row):
            row = self._pydot.Subgraph(f"row{start}", rank="same")
            for key in keys[start : start + a_row]:
                row.add_node(self._pydot.Node(key))
            self._dot.add_subgraph(row)
        # Edges that are not seen hold the columns together.
        unseen = {"style": "invis", "weight": "100"}
        for above, below in zip(keys, keys[a_row:], strict=False):
            self._dot.add_edge(self._pydot.Edge(above, below, **unseen))

    def _add_box(self, key, box):
        graph, rows, locked = self._map.graph, [], {}
        operations = list(dict.fromkeys(call.operation for call in box.calls))
        names = {operation: graph.name_of(operation) for operation in operations}
        joins = {call.operation for call in box.calls if len(call.inputs) > 1}
        main = [o for o in operations if o in joins or o in self._makers]
        title, rest = _split_names([self._short.get(names[o], names[o]) for o in main])
        if box.is_block or len(main) > 1:
            rows.append(_row(f"<b>{_text(title)}</b>", NEUTRAL))
        for operation, short in zip(main, rest, strict=True):
            row = self._describe_layer(operation, names[operation], short)
            rows += [] if row is None else [row]
        if all(NEUTRAL in row for row in rows):  # nothing in it can be removed
            title = ", ".join(rest) or names[operations[0]]
            rows = [_row(f"<b>{_text(title)}</b>", NEUTRAL)]
        for name in names.values():
            locked |= self._report.locked.get(name, {})
        rows.append(_row(_soft(_describe_types(operations)), NEUTRAL))
        if locked:
            reason = shorten_reason(f"locked: {next(iter(locked))}")
            rows.append(_row(_soft(reason), NEUTRAL))
        # Graphviz has no dashed tables: a box around the table is dashed.
        style = {"style": quote("dashed"), "penwidth": "1.5"} if locked else {}
        table = (
            f'<<table border="0" cellborder="1" cellspacing="0" cellpadding="4" '
            f'color="{LOCKED}">{"".join(rows)}</table>>'
        )
        tip = ", ".join(names.values()) + "".join(
            f"; locked: {reason}" for reason in list(locked)[:MOST_REASONS]
        )
        shape = {"shape": "box" if locked else "plain", "margin": "0.04"}
        options = {**shape, **style, "tooltip": quote(tip)}
        self._dot.add_node(self._pydot.Node(key, label=table, **options))

    def _describe_layer(self, operation, name, short):
        """Returns the row of a layer, `None` if it has no units to remove."""
        ids = self._colors.produced_by(operation)
        groups = self._colors.groups_of(ids)
        if not groups:
            return None
        color = ":".join(self._colors.colors_of(ids)[:MOST_COLORS])
        text = f"{_text(short)} <b>{self._colors.count(ids)}</b>"
        others = [self._short[group] for group in groups if group != name]
        if others:
            text += '<br align="left"/>' + _soft(f"with {shorten(others[0], _LONGEST)}")
        return _row(text, color)


def _split_names(names):
    """Returns what a box is called, and the names of its layers without that.

    Args:
        names: List of strings, those of the layers that matter.
    """
    shortest, longest = min(names, default=""), max(names, default="")
    pairs = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(shortest, longest, strict=False)
    )
    # Whole words: "block_1_" of "block_1_expand" and "block_1_project".
    common = re.match(r".*[/_.]|", "".join(one for one, _ in pairs)).group()
    if len(names) > 1 and common and common not in names:
        return common.rstrip("/_."), [name.removeprefix(common) for name in names]
    return (names[-1] if names else ""), names  # the last one is what joins branches


def _describe_types(operations):
    """Returns what kinds of layers a box has, as text."""
    kinds = [type(innermost(operation)).__name__ for operation in operations]
    unique = list(dict.fromkeys(kinds))
    return ", ".join(unique) if len(unique) <= _MOST_TYPES else f"{len(kinds)} layers"


def _row(content, color):
    return f'<tr><td bgcolor="{color}" align="left">{content}</td></tr>'


def _text(text):
    return html.escape(shorten(text, _LONGEST))


def _soft(text):
    lines = map(html.escape, textwrap.wrap(text, _LONGEST))
    lines = '<br align="left"/>'.join(lines)
    return f'<font point-size="9" color="#555555">{lines}<br align="left"/></font>'
