"""Measures a `LatencyTable`."""

import dataclasses

import keras

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.inputs.arguments import check_verbose
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.example_inputs import check_sizes
from keras_shapley_prune.latency.latency_table import LatencyTable, shapes_of
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.latency.old_objects import old_objects_frozen
from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.latency.runtime import (
    Runtime,
    describe_runtime,
    resolve_runtime,
)
from keras_shapley_prune.latency.width_mixes import count_units, draw_mixes
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.tracer import map_of

_MOST = 12  # times that are measured of pieces which are alike in the whole network
_LOADING = 0.6  # of the time of a table: converting and compiling what is timed
_SECONDS = 20.0  # that pieces are timed for, and whole networks


@undisturbed
def measure_latency_table(
    model, target="tensorflow", channel_map=None, input_shape=None, verbose="auto"
):
    """Measures what the pieces of a model take at several widths.

    Some smaller networks are cut out of the model, at random, and taken apart: a piece
    is a layer with a kernel, and what follows it up to the next one. Each piece is a
    model of its own, which is timed on the runtime; pieces that are alike are timed
    once. It takes some seconds to some minutes.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        target: `"tensorflow"`, `"litert"`, a `Runtime`, or a function that takes a
            `keras.Model` and returns the seconds of one inference. It is called for
            some hundred small models, and some whole ones.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        input_shape: The shape of one example, for a model that takes any size, see
            `count_flops`.
        verbose: `"auto"` or 1 for a progress bar, 0 for silence.

    Returns:
        A `LatencyTable`.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If an argument is not of that form, the model has no units that can
            be removed, or it cannot be run on the target.

    Example:

    ```python
    table = keras_shapley_prune.measure_latency_table(model, target="litert")
    table.save("latency.json")  # then target="latency.json" of prune or plan_pruning
    ```
    """
    runtime = resolve_runtime(target)
    check_verbose(verbose)
    channel_map = map_of(model, channel_map)
    channel_map.select_groups()  # raises if there are none
    graph = give_sizes(channel_map.graph, input_shape)
    channel_map = dataclasses.replace(channel_map, graph=graph)
    with Progress(verbose) as progress:
        progress.begin("time", 1.0)  # all there is
        return measure_table(model, runtime, channel_map, progress.show_share)


def measure_table(model, runtime, channel_map, show=None):
    """Does what `measure_latency_table` does.

    Args:
        model: The `keras.Model`.
        runtime: What `resolve_runtime` returned.
        channel_map: The `ChannelMap` of the model.
        show: Callable that is told what is worked on, and how much of it is done, or
            `None`.
    """
    check_sizes(channel_map.graph)
    cutter = NetworkCutter(model, channel_map)
    timer = ModelTimer(model, runtime, channel_map.graph)
    keys, networks, pieces = {}, [], {"": timer.load(make_empty())}
    count = len(cutter.mixes)
    with old_objects_frozen():
        for number in range(count):
            label = f"compiling pieces, {number + 1} of {count}"
            _show(show, label, _LOADING * number / count)
            network, parts = cutter.cut(number)
            networks.append(timer.load(network))
            for name, piece in parts.items():
                keys[number, name] = piece.key
                if piece.key not in pieces:
                    pieces[piece.key] = timer.load(piece.build())
    # In turn: what slows the machine for a while does not hit a few of them.
    part = (1 - _LOADING) / 2
    seconds = timer.time_all(
        list(pieces.values()),
        _SECONDS,
        lambda share: _show(show, "timing pieces", _LOADING + part * share),
    )
    whole = timer.time_all(
        networks,
        _SECONDS,
        lambda share: _show(show, "timing networks", 1 - part * (1 - share)),
    )
    seconds = dict(zip(pieces, seconds, strict=True))
    return LatencyTable(
        describe_runtime(runtime),
        runtime if isinstance(runtime, Runtime) else None,
        shapes_of(channel_map.graph),
        count_units(channel_map),
        cutter.mixes,
        {
            piece.name: [seconds.get(keys.get((i, piece.name))) for i in range(count)]
            for piece in cutter.pieces
        },
        whole,
        seconds[""],
    )


def _show(show, label, share):
    if show is not None:
        show(label, share)


class NetworkCutter:
    """Cuts smaller networks out of a model, and takes them apart.

    Args:
        model: The `keras.Model`.
        channel_map: Its `ChannelMap`.

    Attributes:
        mixes: Tuple of `WidthMix`.
        pieces: Tuple of `Piece`, of the whole model.
    """

    def __init__(self, model, channel_map):
        self._model, self._map = model, channel_map
        self.mixes = draw_mixes(channel_map)
        self.pieces = find_pieces(channel_map.graph.sized)
        self._keys = {}  # key of a piece in the whole model -> set of those measured

    def cut(self, number):
        """Returns a smaller network, and the pieces of it that are to be timed.

        Args:
            number: Integer, which of the mixes.

        Returns:
            Tuple of a `keras.Model`, and a dict: name of a piece -> `Piece`.
        """
        mix = self.mixes[number]
        network = cut_out(self._model, mix.keep(self._map), self._map).model
        if mix.removed:  # pieces beside what is gone are others
            return network, {}
        graph = record_graph(network)
        graph = give_sizes(graph, self._map.graph.input_shapes or None).sized
        found = {}
        for whole, piece in zip(self.pieces, find_pieces(graph), strict=True):
            measured = self._keys.setdefault(whole.key, set())
            # Each kind is to be measured in all mixes, and not more often than needed.
            most = _MOST * (number + 1) / len(self.mixes)
            if piece.key in measured or len(measured) < max(most, number + 1):
                measured.add(piece.key)
                found[whole.name] = piece
        return network, found


def make_empty():
    """Returns a model that computes next to nothing, to time a call by itself."""
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.ops.negative(inputs))
