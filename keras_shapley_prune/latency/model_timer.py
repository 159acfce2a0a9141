"""Times a model, smaller ones of it, and their pieces, on one runtime."""

import keras

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.latency.example_inputs import draw
from keras_shapley_prune.latency.live_copies import copy_alive
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import time_in_turn

_NUM_RUNS = 300  # of each model: the fastest one is what counts
_LEAST_SECONDS = 3e-4  # of a sample


class ModelTimer:
    """Times models on a runtime, in turn.

    Where others use the machine too, what they take away differs from run to run, but
    the fastest run lacks little. So it is what counts here.

    Args:
        model: The `keras.Model`.
        runtime: What `resolve_runtime` returned.
        graph: The recorded `Graph` of the model, with the sizes of its inputs, which
            smaller ones have too.
    """

    def __init__(self, model, runtime, graph):
        self._model, self._runtime, self._examples = model, runtime, None
        if graph.input_shapes:  # inputs of any size: those that are known
            drawn = keras.tree.pack_sequence_as(graph.input_structure, draw(graph, 4))
            self._examples = [(drawn,)]
        self._loaded = None

    def load(self, model):
        """Makes a model ready to be timed; of a function's, times it.

        Args:
            model: A `keras.Model` that reads what the whole one does, or a piece.

        Returns:
            What `time_all` takes.

        Raises:
            ValueError: If the model cannot be run.
        """
        if not isinstance(self._runtime, Runtime):
            return time_models([model], self._runtime)[0].fastest
        # Only of open sizes does an input have to be known: pieces have none.
        is_open = any(None in tensor.shape[1:] for tensor in model.inputs)
        if self._runtime.int8:
            model = copy_alive(model)
        return self._runtime.load(model, self._examples if is_open else None)

    def time_all(self, loaded, max_seconds, on_share=None):
        """Returns the seconds of models, a list.

        Args:
            loaded: List of what `load` returned.
            max_seconds: Float, about how long it may take; each is run some times.
            on_share: See `time_in_turn`.
        """
        if not isinstance(self._runtime, Runtime):
            return loaded
        limits = _NUM_RUNS, max_seconds, _LEAST_SECONDS
        clock = self._runtime.clock
        timings = time_in_turn(loaded, *limits, clock=clock, on_share=on_share)
        return [timing.fastest for timing in timings]

    def time_beside(self, smaller, max_seconds=3.0):
        """Returns the seconds of the model, and of a smaller one, measured in turn.

        Args:
            smaller: A `keras.Model`.
            max_seconds: See `time_all`.
        """
        with kept_states(self._model):
            if self._loaded is None:
                self._loaded = self.load(self._model)
            loaded = [self._loaded, self.load(smaller)]
            return tuple(self.time_all(loaded, max_seconds))
