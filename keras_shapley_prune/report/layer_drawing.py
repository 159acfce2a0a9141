"""The graph of a model, with a box for each layer."""

from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.report.channel_colors import (
    MOST_COLORS,
    quote,
    shorten_reason,
)
from keras_shapley_prune.report.graph_drawing import MOST_REASONS, GraphDrawing


def draw_layers(report, pydot, dot):
    """Adds a node for each layer of a model, and an edge for each read.

    Args:
        report: The `Inspection` of the model.
        pydot: The module.
        dot: The `pydot.Dot` to add to.
    """
    _LayerDrawing(report, pydot, dot).draw()


class _LayerDrawing(GraphDrawing):
    """A node for each layer."""

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

    def _add_layer(self, key, call):
        name = self._map.graph.name_of(call.operation)
        lines, options = [name, type(innermost(call.operation)).__name__], {}
        ids = self._colors.produced_by(call.operation)
        groups = self._colors.groups_of(ids)
        if groups:
            # Graphviz draws several colours as stripes of a box.
            fill = ":".join(self._colors.colors_of(ids)[:MOST_COLORS])
            options["fillcolor"] = quote(fill)
            if ":" in fill:
                options["style"] = quote("striped")
            lines.append(f"{self._colors.count(ids)} units" + _suffix(groups, name))
        reasons = self._report.locked.get(name, {})
        tip = f"{name}: " + (", ".join(groups) or "no units of its own")
        if reasons:
            options["penwidth"] = "2"
            style = "striped" if "style" in options else "filled,rounded"
            options["style"] = quote(f"{style},dashed")
            lines.append("locked: " + shorten_reason(next(iter(reasons))))
            tip = f"{name} is locked: " + "; ".join(list(reasons)[:MOST_REASONS])
        options["tooltip"] = quote(tip)
        node = self._pydot.Node(key, label=quote("\n".join(lines)), **options)
        self._dot.add_node(node)

    def _add_edge(self, start, end, tensor):
        options = self._colors.style_edge(tensor)
        self._dot.add_edge(self._pydot.Edge(start, end, **options))


def _suffix(groups, name):
    others = [group for group in groups if group != name]
    return f", group {', '.join(others[:2])}" if others else ""
