"""How far the calibration set has got through a network."""

import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.trace.memory import resolve_memory
from keras_shapley_prune.trace.segments import Segments, is_worth_compiling


class ForwardPass:
    """The activations of every batch at one place of a network, which advances.

    A batch is run when its values are asked for, and not before. Each is kept at the
    last place where that took no more than `memory` bytes in all, and is run from
    there: a batch does not start again from the input because a few of the tensors on
    the way are large.

    Args:
        graph: The recorded `Graph`.
        batches: List of lists of input tensors, one list a batch; or of callables that
            return such a list, for what need not be held.
        find_masks: See `run_calls`. It is asked once for each call, but see `forget`.
        memory: See `resolve_memory`.
        segments: The `Segments` of `graph` and `find_masks`, if there are some.

    Attributes:
        position: Integer, the index of the next call.
    """

    def __init__(self, graph, batches, find_masks=no_masks, memory=None, segments=None):
        self._graph, self.find_masks = graph, find_masks
        self._memory = resolve_memory(memory)
        self.segments = segments or Segments(
            graph, find_masks, compiled=is_worth_compiling(batches)
        )
        self._inputs = batches
        self._kept = {}  # batch -> (position, values, bytes)
        self.position = 0

    @property
    def num_batches(self):
        """Integer."""
        return len(self._inputs)

    def values(self, batch):
        """Returns what is known of a batch before the call at `position`.

        Args:
            batch: Integer.

        Returns:
            Dict: symbolic tensor -> value. It can be changed.
        """
        position, values, _ = self._kept.get(batch) or self._enter(batch)
        if position < self.position:
            values = self.segments.run(values, position, self.position)
            self._keep(batch, values)
        return dict(values)

    def look_ahead(self, batch, position):
        """Returns the values of a batch further on, without moving."""
        return self.segments.run(self.values(batch), self.position, position)

    def advance(self, position):
        """Moves to before the call at `position`.

        Args:
            position: Integer, the index of a call. Never moves backwards.
        """
        self.position = max(self.position, position)

    def cut_at(self, positions):
        """Cuts where somebody may stop, see `Segments.cut_at`."""
        self.segments.cut_at(positions)

    def forget(self):
        """Asks `find_masks` anew for the calls from `position` on."""
        self.segments.forget(self.position)

    def on(self, batches, memory):
        """Returns a `ForwardPass` of other data through the same network.

        Args:
            batches: List, one entry a batch, as in the constructor.
            memory: Integer, bytes.
        """
        return ForwardPass(self._graph, batches, self.find_masks, memory, self.segments)

    def _enter(self, batch):
        inputs = self._inputs[batch]
        inputs = inputs() if callable(inputs) else map(tf.convert_to_tensor, inputs)
        return 0, dict(zip(self._graph.inputs, inputs, strict=True)), 0

    def _keep(self, batch, values):
        used = sum(size for other, (*_, size) in self._kept.items() if other != batch)
        size = sum(map(_count_bytes, values.values()))
        if used + size <= self._memory:
            self._kept[batch] = self.position, values, size


def _count_bytes(value):
    return value.dtype.size * value.shape.num_elements()
