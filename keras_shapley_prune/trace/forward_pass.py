"""How far the calibration set has got through a network."""

from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.trace.graph import run_calls

MEMORY = 2**31  # bytes of activations that are kept; the rest is computed again


class ForwardPass:
    """The activations of every batch at one place of a network, which advances.

    What has been computed once is kept as long as a later call reads it, up to
    `memory` bytes. The batches beyond are run from the input each time they are
    asked for.

    Args:
        graph: The recorded `Graph`.
        batches: List of lists of input tensors, one list a batch.
        find_masks: See `run_calls`.
        memory: Integer, bytes.

    Attributes:
        position: Integer, the index of the next call.
    """

    def __init__(self, graph, batches, find_masks=no_masks, memory=MEMORY):
        self._graph, self.find_masks, self._memory = graph, find_masks, memory
        self._inputs = [dict(zip(graph.inputs, x, strict=True)) for x in batches]
        self._kept = [dict(values) for values in self._inputs]
        self.position = 0
        self._last_use = {tensor: len(graph.calls) for tensor in graph.outputs}
        for call in graph.calls:
            for tensor in call.inputs:
                self._last_use[tensor] = max(call.index, self._last_use.get(tensor, -1))

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
        if self._kept[batch] is not None:
            return dict(self._kept[batch])
        values = dict(self._inputs[batch])
        self._run(values, 0, self.position)
        return values

    def look_ahead(self, batch, position):
        """Returns the values of a batch further on, without moving."""
        values = self.values(batch)
        self._run(values, self.position, position)
        return values

    def advance(self, position):
        """Runs the calls before `position`.

        Args:
            position: Integer, the index of a call. Never moves backwards.
        """
        if position <= self.position:
            return
        used = 0
        for batch, values in enumerate(self._kept):
            if values is not None:
                self._run(values, self.position, position)
                used += sum(_count_bytes(value) for value in values.values())
                if used > self._memory:
                    self._kept[batch] = None
        self.position = position

    def _run(self, values, start, stop):
        for call in self._graph.calls[start:stop]:
            run_calls([call], values, self.find_masks)
            for tensor in (*call.inputs, *call.outputs):
                if self._last_use.get(tensor, -1) <= call.index:
                    values.pop(tensor, None)


def _count_bytes(value):
    return value.dtype.size * value.shape.num_elements()
