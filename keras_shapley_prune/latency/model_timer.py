"""Times models of one kind on one runtime, again and again."""

import keras

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.latency.example_inputs import draw
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import time_in_turn

_NUM_RUNS, _MAX_SECONDS = 2000, 3.0
_LEAST_SECONDS = 3e-4  # of a sample


class ModelTimer:
    """Times a model, and smaller ones made of it, in turn.

    Where others use the machine too, what they take away differs from run to run, but
    the fastest run lacks little. So it is what counts here.

    Args:
        model: The `keras.Model`.
        runtime: What `resolve_runtime` returned.
        graph: The recorded `Graph` of the model, with the sizes of its inputs, which
            smaller ones have too.

    Raises:
        ValueError: If the model cannot be run.
    """

    def __init__(self, model, runtime, graph):
        self._model, self._runtime = model, runtime
        self._examples = None
        if graph.input_shapes:  # inputs of any size: those that are known
            drawn = keras.tree.pack_sequence_as(graph.input_structure, draw(graph, 4))
            self._examples = [(drawn,)]
        self._run = None

    def time_beside(self, smaller):
        """Returns the seconds of the model, and of a smaller one, measured in turn.

        Args:
            smaller: A `keras.Model`.
        """
        if not isinstance(self._runtime, Runtime):
            found = time_models([self._model, smaller], self._runtime)
            return tuple(timing.fastest for timing in found)
        with kept_states(self._model):
            if self._run is None:
                self._run = self._runtime.load(self._model, self._examples)
            runs = [self._run, self._runtime.load(smaller, self._examples)]
            found = time_in_turn(runs, _NUM_RUNS, _MAX_SECONDS, _LEAST_SECONDS)
        return tuple(timing.fastest for timing in found)

    def load(self, model):
        """Returns what computes one inference of a smaller model, a function."""
        return self._runtime.load(model, self._examples)
