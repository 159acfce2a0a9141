"""The graph of a model as a picture: a colour for each group of units."""

import pathlib

from keras_shapley_prune.inputs.arguments import (
    check_boolean,
    check_choice,
    check_integer,
)
from keras_shapley_prune.inputs.paths import check_target
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.report.box_drawing import draw_boxes
from keras_shapley_prune.report.channel_colors import LOCKED, NEUTRAL, quote
from keras_shapley_prune.report.inspection import inspect
from keras_shapley_prune.report.layer_drawing import draw_layers


@undisturbed
def plot_channels(
    model,
    to_file=None,
    rankdir="LR",
    dpi=100,
    channel_map=None,
    expand_blocks=False,
):
    """Draws the layers of a model, and where the units of each group go.

    What branches and comes together again, such as a residual block, is one box; so is
    a layer with what follows it without changing its units. In it, each layer that
    produces units has the colour of its group, and an edge has the colours of the
    groups it carries. A box with locked units has a dashed border; the reason is
    written in it, and in full in the tooltip (of an SVG file).

    Args:
        model: A built Sequential or functional `keras.Model`.
        to_file: String or path-like, or `None`. The ending says the format: `.png`,
            `.svg`, `.pdf`, which need the program `dot` of Graphviz, or `.dot`.
        rankdir: `"LR"` from left to right, in rows like those of a text if the boxes
            are many and have no branches, or `"TB"` from top to bottom.
        dpi: Integer, dots per inch.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        expand_blocks: Boolean, whether each layer is a box of its own.

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
    check_boolean("expand_blocks", expand_blocks)
    if to_file is not None:
        check_target(to_file, "to_file", make_folders=False)
    pydot = _import_pydot()
    report = inspect(model, channel_map)
    dot = pydot.Dot(quote(model.name), graph_type="digraph", rankdir=rankdir, dpi=dpi)
    dot.set_node_defaults(
        shape="box",
        style='"filled,rounded"',
        fontname="Helvetica",
        fontsize="11",
        fillcolor=quote(NEUTRAL),
        color=quote(LOCKED),
    )
    dot.set_edge_defaults(color=quote(LOCKED), arrowsize="0.7")
    (draw_layers if expand_blocks else draw_boxes)(report, pydot, dot)
    if to_file is not None:
        _write(dot, pathlib.Path(to_file))
    return dot


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
            "Plots of channels need the package pydot. Install it with: "
            "pip install pydot"
        ) from error
    return pydot
