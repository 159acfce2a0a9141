"""Writes what is timed on a device that has no Keras."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np

from keras_shapley_prune.deploy.litert import export_litert
from keras_shapley_prune.inputs.arguments import check_boolean, check_verbose
from keras_shapley_prune.inputs.json_files import format_of
from keras_shapley_prune.inputs.paths import check_folder
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency import time_pieces
from keras_shapley_prune.latency.example_inputs import check_sizes, draw
from keras_shapley_prune.latency.latency_table import VERSION, shapes_of
from keras_shapley_prune.latency.live_copies import copy_alive
from keras_shapley_prune.latency.measure_table import NetworkCutter, make_empty
from keras_shapley_prune.latency.old_objects import old_objects_frozen
from keras_shapley_prune.latency.width_mixes import count_units
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.tracer import map_of

_NUM_EXAMPLES = 4  # that ranges of int8 are taken of: for its speed they are enough


@undisturbed
def write_latency_pieces(
    model, folder, int8=False, channel_map=None, input_shape=None, verbose="auto"
):
    """Writes the pieces of a model as LiteRT files, to be timed on a device.

    Beside them stands a script, `time_pieces.py`, which runs there with NumPy and
    ai-edge-litert (or tflite-runtime) alone, and writes a `LatencyTable`.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        folder: String or path-like, a folder. It need not exist.
        int8: Boolean, whether the files are quantized to 8-bit integers.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        input_shape: See `count_flops`, for a model that takes any size.
        verbose: `"auto"` or 1 for a progress bar, 0 for silence.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        ImportError: If `int8=True` and the quantizer is not installed.
        ValueError: If an argument is not of that form, the model has no units that can
            be removed, or LiteRT cannot do what it does.

    Example:

    ```python
    keras_shapley_prune.write_latency_pieces(model, "pieces", int8=True)
    # On the device: python pieces/time_pieces.py --output phone.json
    # Then here: prune(model, images, 0.5, of="latency", target="phone.json")
    ```
    """
    check_folder(folder, "folder")
    check_boolean("int8", int8)
    check_verbose(verbose)
    channel_map = map_of(model, channel_map)
    channel_map.select_groups()  # raises if there are none
    graph = give_sizes(channel_map.graph, input_shape)
    channel_map = dataclasses.replace(channel_map, graph=graph)
    check_sizes(graph)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = _Files(folder, int8)
    cutter = NetworkCutter(model, channel_map)
    pieces = {piece.name: [None] * len(cutter.mixes) for piece in cutter.pieces}
    whole, shapes = [], graph.input_shapes or None
    count = len(cutter.mixes)
    with old_objects_frozen(), Progress(verbose) as progress:
        progress.begin("write", 1.0)  # all there is
        for number in range(count):
            label = f"writing pieces, {number + 1} of {count}"
            progress.show_share(label, number / count)
            network, parts = cutter.cut(number)
            mix = cutter.mixes[number]  # of a small network several are alike
            key = "whole", frozenset(mix.kept.items()), mix.removed
            whole.append(files.write(key, lambda n=network: n, shapes))
            for name, piece in parts.items():
                pieces[name][number] = files.write(piece.key, piece.build)
    manifest = {
        "files": files.names,
        "numbers": "int8" if int8 else "float32",
        "table_format": format_of("LatencyTable"),
        "table": {
            "version": VERSION,
            "input_shapes": shapes_of(graph),
            "groups": count_units(channel_map),
            "mixes": [dataclasses.asdict(mix) for mix in cutter.mixes],
        },
        "overhead": files.write("empty", make_empty),
        "whole": whole,
        "pieces": pieces,
    }
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    shutil.copyfile(time_pieces.__file__, folder / "time_pieces.py")
    return folder


class _Files:
    """Writes LiteRT files into a folder, one for models that are alike."""

    def __init__(self, folder, int8):
        self._folder, self._int8 = folder, int8
        self._numbers, self.names = {}, []

    def write(self, key, build, shapes=None):
        """Returns the number of a model's file.

        Args:
            key: The same for models that are alike.
            build: Callable that returns the `keras.Model`.
            shapes: See `input_shape` of `export_litert`.
        """
        if key not in self._numbers:
            model, name = build(), f"piece_{len(self.names):04d}.tflite"
            data = None
            if self._int8:
                model = copy_alive(model)
                data = self._draw(model, shapes)
            path = self._folder / name
            export_litert(model, path, self._int8, data, input_shape=shapes, verbose=0)
            self._numbers[key] = len(self.names)
            self.names.append(name)
        return self._numbers[key]

    def _draw(self, model, shapes):
        """Returns examples for the ranges of a model's numbers, one batch."""
        graph = give_sizes(record_graph(model), shapes)
        drawn = [np.asarray(values) for values in draw(graph, _NUM_EXAMPLES)]
        return drawn[0] if len(drawn) == 1 else [(tuple(drawn),)]
