"""A pass through a whole network that is watched on the way."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.replicas import count_replicas, on_replicas
from keras_shapley_prune.trace.batches import has_fixed_batch
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.segments import batch_spec


class WatchedPass:
    """Runs a whole network, and returns what is seen on the way.

    What is seen is a small part of what the network computes, such as a few positions
    of what a layer reads. So nothing of the rest has to be held, and nothing stops
    where somebody looks.

    Args:
        graph: The recorded `Graph`.
        watches: List of `(position, look)`: before the call of that index `look` is
            called with the values so far, a dict: symbolic tensor -> value, and returns
            (nested) tensors. Nothing is run behind the last one.
        compiled: Boolean, whether it is run as one `tf.function`.
    """

    def __init__(self, graph, watches, compiled=True):
        self._graph, self._watches = graph, watches
        self._is_compiled = compiled or count_replicas() > 1
        self._functions = {}
        divisible = not has_fixed_batch(graph)
        self._run = on_replicas(self._run_batch) if divisible else self._run_batch

    def run(self, inputs):
        """Returns what each of the watches returned.

        Args:
            inputs: List of tensors or arrays, one batch.
        """
        inputs = list(map(tf.convert_to_tensor, inputs))
        if not self._is_compiled:
            return self._run(*inputs)
        signature = tuple((x.dtype, tuple(x.shape[1:])) for x in inputs)
        if signature not in self._functions:
            specs = [
                batch_spec(symbolic, value)
                for symbolic, value in zip(self._graph.inputs, inputs, strict=True)
            ]
            compiled = tf.function(self._run, autograph=False)
            self._functions[signature] = compiled.get_concrete_function(*specs)
        return self._functions[signature](*inputs)

    def _run_batch(self, *inputs):
        values, seen = self._graph.feed(inputs), [None] * len(self._watches)
        places = [position for position, _ in self._watches]
        done = 0
        for place in np.argsort(places, kind="stable"):
            position, look = self._watches[place]
            run_calls(self._graph.calls[done:position], values)
            seen[place] = look(values)
            # Who looks at what a call returns may look at what it read as well.
            self._graph.drop_read(values, position - 1)
            done = position
        return seen
