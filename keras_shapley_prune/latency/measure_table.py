"""Measures a `LatencyTable`."""

import keras

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.latency.latency_table import LatencyTable, shapes_of
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.latency.pieces import Piece, find_pieces
from keras_shapley_prune.latency.runtime import (
    Runtime,
    describe_runtime,
    resolve_runtime,
)
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import time_in_turn
from keras_shapley_prune.latency.width_mixes import draw_mixes
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.tracer import map_of

_MOST = 12  # times that are measured of pieces which are alike in the whole network
_NUM_RUNS, _MAX_SECONDS = 60, 30.0  # of each model, and for all of them
_LEAST_SECONDS = 3e-4  # of a sample


@undisturbed
def measure_latency_table(model, target="tensorflow", channel_map=None):
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

    Returns:
        A `LatencyTable`.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If an argument is not of that form, the model has no units that can
            be removed, or it cannot be run on the target.

    Example:

    ```python
    table = keras_shapley_prune.measure_latency_table(model, target="litert")
    plan = keras_shapley_prune.plan_pruning(
        model, ranking, 0.5, of="latency", target=table
    )
    ```
    """
    runtime = resolve_runtime(target)
    channel_map = map_of(model, channel_map)
    channel_map.select_groups()  # raises if there are none
    return measure_table(model, runtime, channel_map)


def measure_table(model, runtime, channel_map, show=None):
    """Does what `measure_latency_table` does.

    Args:
        model: The `keras.Model`.
        runtime: What `resolve_runtime` returned.
        channel_map: The `ChannelMap` of the model.
        show: Callable that is told what is worked on, and how much of it is done, or
            `None`.
    """
    cutter, clock = (
        NetworkCutter(model, channel_map),
        _Clock(model, runtime, channel_map),
    )
    keys = {}
    for number in range(len(cutter.mixes)):
        if show is not None:
            show("timing networks", number / (len(cutter.mixes) + 1))
        network, pieces = cutter.cut(number)
        clock.add(number, network)
        for name, piece in pieces.items():
            keys[number, name] = piece.key
            clock.add(piece.key, piece)
    if show is not None:
        show("timing pieces", 1 - 1 / (len(cutter.mixes) + 1))
    clock.add("empty", make_empty())
    seconds, count = clock.time_all(), len(cutter.mixes)
    return LatencyTable(
        describe_runtime(runtime),
        runtime if isinstance(runtime, Runtime) else None,
        shapes_of(channel_map.graph),
        {g.name: g.num_units for g in channel_map.groups if g.kind == "channels"},
        cutter.mixes,
        {
            piece.name: [seconds.get(keys.get((i, piece.name))) for i in range(count)]
            for piece in cutter.pieces
        },
        [seconds[number] for number in range(count)],
        seconds["empty"],
    )


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
        network = remove_channels(self._model, mix.keep(self._map), self._map)
        if (
            mix.removed
        ):  # pieces next to what is gone are others: it is timed as a whole
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


class _Clock:
    """Times many models on a runtime, in turn.

    Where others use the machine too, what they take away differs from run to run, but
    the fastest run lacks little. So it is what counts here.
    """

    def __init__(self, model, runtime, channel_map):
        self._runtime, self._runs = runtime, {}
        self._timer = ModelTimer(model, runtime, channel_map.graph)

    def add(self, key, model):
        """Makes a model ready to be timed with all others.

        Args:
            key: What it is found by. One of a key that is there already is not needed.
            model: A `keras.Model`, or a `Piece`.
        """
        if key in self._runs:
            return
        model = model.build() if isinstance(model, Piece) else model
        if isinstance(self._runtime, Runtime):
            self._runs[key] = self._timer.load(model)
        else:
            self._runs[key] = time_models([model], self._runtime)[0].fastest

    def time_all(self):
        """Returns a dict: key -> seconds."""
        if not isinstance(self._runtime, Runtime):
            return self._runs
        # In turn: what slows the machine for a while does not hit a few of them.
        runs = list(self._runs.values())
        timings = time_in_turn(runs, _NUM_RUNS, _MAX_SECONDS, _LEAST_SECONDS)
        return {key: t.fastest for key, t in zip(self._runs, timings, strict=True)}
