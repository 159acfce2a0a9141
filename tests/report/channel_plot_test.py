"""Tests of the drawn graph of channels."""

import itertools
import shutil
import sys

import keras
import models
import pytest
from keras import layers

from keras_shapley_prune import plot_channels
from keras_shapley_prune.report.channel_colors import NEUTRAL, pick_colors
from keras_shapley_prune.trace.tracer import trace_channels

pytest.importorskip("pydot")


def nodes_of(dot):
    """Returns a dict: first line of a node's label -> the node."""
    nodes = [node for node in dot.get_nodes() if node.get_label()]
    return {node.get_label().strip('"').split("\\n")[0]: node for node in nodes}


def edges_of(dot):
    """Returns the edges as a dict: (label, label) -> the edge."""
    label = {node.get_name(): name for name, node in nodes_of(dot).items()}
    return {
        (label[edge.get_source()], label[edge.get_destination()]): edge
        for edge in dot.get_edges()
    }


def test_nodes_edges_and_colors_of_a_residual_network():
    model = models.build(models.residual)
    dot = plot_channels(model, expand_blocks=True)
    nodes, edges = nodes_of(dot), edges_of(dot)
    fills = {name: node.get("fillcolor") for name, node in nodes.items()}
    assert fills["stem"] == fills["outer1"] != fills["inner1"]
    assert fills["projection"] == fills["outer2"] != fills["stem"]
    assert len({fills[n] for n in ("stem", "inner1", "inner2", "projection")}) == 4
    assert fills["logits"] is None  # the default, no removable units
    assert edges["stem", "activation"].get("color") == fills["stem"]
    assert edges["inner1", "outer1"].get("color") == fills["inner1"]
    assert edges["input image", "stem"].get("color") is None
    assert ("logits", "output 0") in edges
    assert "8 units, group stem" in nodes["outer1"].get_label()


def rows_of(dot):
    """Returns the names of the nodes in each row of a drawing, a list of lists."""
    return [
        [node.get_name() for node in row.get_nodes()] for row in dot.get_subgraphs()
    ]


def test_blocks_are_boxes_from_left_to_right():
    model = models.build(models.residual)
    channel_map = trace_channels(model)
    dot = plot_channels(model, channel_map=channel_map)
    source = dot.to_string()
    for color in pick_colors(len(channel_map.groups)):
        assert color in source
    for group in channel_map.groups:
        assert f"<b>{group.num_units}</b>" in source
    boxes = [node for node in dot.get_nodes() if node.get_name().startswith("box")]
    assert len(boxes) < len({call.operation for call in channel_map.graph.calls}) / 2
    assert dot.get_rankdir() == "LR" and rows_of(dot) == []
    (last,) = [box for box in boxes if "logits" in box.get_label()]
    assert "locked: model output" in last.get_label() and "dashed" in last.get("style")
    assert "locked: model output" in last.get("tooltip")


@pytest.mark.parametrize("count", [5, 25, 60])
def test_many_boxes_stand_in_rows(count):
    convs = [layers.Conv2D(4, 1, name=f"net_conv{n}") for n in range(count)]
    head = [layers.Flatten(), layers.Dense(2, name="net_logits")]
    model = keras.Sequential([keras.Input((2, 2, 3)), *convs, *head])
    dot = plot_channels(model)
    rows = rows_of(dot)
    sizes = {5: [], 25: [6, 6, 6, 6, 4], 60: [6] * 10 + [3]}
    assert [len(row) for row in rows] == sizes[count]
    drawn = [edge for edge in dot.get_edges() if edge.get("style") != "invis"]
    order = [name for row in rows for name in row]
    if count == 5:
        order = [node.get_name() for node in dot.get_nodes() if node.get_label()]
    assert len(order) == count + 3  # input, logits, output
    reads = [(edge.get_source(), edge.get_destination()) for edge in drawn]
    assert reads == list(itertools.pairwise(order))
    assert "net_" not in "".join(node.get_label() or "" for node in dot.get_nodes())
    assert plot_channels(model, rankdir="TB").get_subgraphs() == []


@pytest.mark.sweep(3)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_boxes_of_any_model(builder):
    model = models.build(builder)
    dot = plot_channels(model)
    names = {node.get_name() for node in dot.get_nodes()}
    ends = {
        e
        for edge in dot.get_edges()
        for e in (edge.get_source(), edge.get_destination())
    }
    assert ends <= names
    tips = " ".join(node.get("tooltip") or "" for node in dot.get_nodes())
    graph = trace_channels(model).graph
    assert all(graph.name_of(call.operation) in tips for call in graph.calls)


@pytest.mark.parametrize("builder", models.BUILDERS)
def test_every_layer_and_every_read_is_drawn(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    dot = plot_channels(model, channel_map=channel_map, expand_blocks=True)
    calls = channel_map.graph.calls
    operations = {call.operation for call in calls}
    ends = len(channel_map.graph.inputs) + len(channel_map.graph.outputs)
    drawn = [node for node in dot.get_nodes() if node.get_label()]
    assert len(drawn) == len(operations) + ends
    reads = sum(len(call.inputs) for call in calls) + len(channel_map.graph.outputs)
    assert len(dot.get_edges()) == reads
    source = dot.to_string()
    for color in pick_colors(len(channel_map.groups)):
        assert color in source


def test_locked_layers_say_why():
    nodes = nodes_of(plot_channels(models.build(models.locked), expand_blocks=True))
    locked = nodes["odd_axis"]
    assert "dashed" in locked.get("style")
    assert "locked: BatchNormalization normalizes axis 1" in locked.get_label()
    assert "the last one (`row_norm`)" in locked.get("tooltip")
    assert "dashed" not in (nodes["free1"].get("style") or "")


def test_colors_differ_and_carry_dark_text():
    colors = pick_colors(40)
    assert len(set(colors)) == 40 and NEUTRAL not in colors
    for color in colors:
        red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        assert 0.299 * red + 0.587 * green + 0.114 * blue > 0.4


def test_files(tmp_path):
    model = models.build(models.branches)
    plot_channels(model, tmp_path / "graph.dot")
    assert "digraph" in (tmp_path / "graph.dot").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"graph\.gif"):
        plot_channels(model, tmp_path / "graph.gif")
    with pytest.raises(ValueError, match="rankdir='UP'"):
        plot_channels(model, rankdir="UP")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("builder", [models.residual, models.locked, models.attentive])
def test_graphviz_renders_it(builder, tmp_path):
    model = models.build(builder)
    plot_channels(model, tmp_path / "graph.png")
    plot_channels(model, str(tmp_path / "graph.svg"), expand_blocks=True)
    assert (tmp_path / "graph.png").read_bytes()[:4] == b"\x89PNG"
    drawing = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    for layer in model.layers:
        if layer.weights:
            assert f">{layer.name}<" in drawing
    assert "model output" in drawing  # the tooltip


def test_without_pydot_or_graphviz(monkeypatch, tmp_path):
    model = models.build(models.chain)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="graphviz"):
        plot_channels(model, tmp_path / "graph.png")
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="pip install pydot"):
        plot_channels(model)
