"""What the graph of a model consists of, whatever its boxes stand for."""

from keras_shapley_prune.report.channel_colors import ChannelColors, quote

MOST_REASONS = 3  # in one tooltip


class GraphDrawing:
    """Nodes and edges of one graph.

    Args:
        report: The `Inspection` of the model.
        pydot: The module.
        dot: The `pydot.Dot` to add to.
    """

    def __init__(self, report, pydot, dot):
        self._report, self._pydot, self._dot = report, pydot, dot
        self._map, self._colors = report.channel_map, ChannelColors(report.channel_map)

    def _add_end(self, key, label):
        """Adds an input or output of the model, and returns its key."""
        options = {"shape": "ellipse", "fillcolor": quote("#ffffff")}
        self._dot.add_node(self._pydot.Node(key, label=quote(label), **options))
        return key
