"""What a layer before removed blocks should return: what came out behind them.

The stream that enters a removed block is the one that leaves it. Nothing reads it in
between any more, so the layer that writes to it last can aim at what the original had
behind the block: it makes up for what the block would have added.
"""

import dataclasses
import math

import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear, find_normalization
from keras_shapley_prune.layer_types.elementwise_activations import find_ceiling
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.skip_compensation import SkipCompensation, unscale
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


@dataclasses.dataclass(frozen=True, eq=False)
class Later:
    """What the sum that a layer writes to should be in place of what it was.

    Attributes:
        summed: Symbolic tensor, the sum: what an addition behind the layer returns, or
            what the layer, or its normalization, does.
        wanted: Symbolic tensor, what the original has behind the last of the removed
            blocks.
        is_rectified: Boolean, whether a ReLU alone reads that: then it does not matter
            by how much it is below 0.
    """

    summed: object
    wanted: object
    is_rectified: bool

    def read(self, values):
        """Returns what the sum should be.

        Args:
            values: Dict: symbolic tensor -> value in the original.
        """
        wanted = tf.cast(values[self.wanted], tf.float32)
        if not self.is_rectified:
            return wanted
        # As it was, where it may be anything below 0: that is the least to change.
        summed = tf.cast(values[self.summed], tf.float32)
        return tf.where(wanted > 0, wanted, tf.minimum(summed, wanted))


class LaterSum:
    """What a layer would have to add, so that the stream is as behind removed blocks.

    Args:
        graph: The recorded `Graph` of the original.
        call: The call of the layer, linear up to its output.
        later: The `Later`.
        start: Integer, the index of the next call: that of the layer, or the one behind
            it.
    """

    def __init__(self, graph, call, later, start):
        self._later, normalization = later, find_normalization(graph, call)
        self._written = (normalization or call).outputs[0]
        self._normalization = normalization and normalization.operation
        read = [later.wanted, later.summed, self._written]
        self._missing = find_ancestors(graph, read, start)

    def __call__(self, values):
        """Returns what the layer would have to add.

        Args:
            values: Dict: symbolic tensor -> value in the original, before the call at
                `start`.
        """
        values = dict(values)
        run_calls(self._missing, values)
        written = tf.cast(values[self._written], tf.float32)
        return unscale(self._later.read(values) - written, self._normalization)


def find_later_sums(cut):
    """Finds the layers whose sums only removed blocks read, and what they should be.

    Args:
        cut: A `Cut`.

    Returns:
        Dict: index of a call -> `Later`, on the symbolic tensors of the original.
    """
    original, found = cut.channel_map.graph, {}
    removed = cut.channel_map.removed_inputs(cut.keep)
    passed = {
        index
        for index, positions in removed.items()
        if len(original.calls[index].inputs) - len(positions) == 1
    }
    for call in cut.graph.calls if passed else ():
        alone = len(original.calls_of(original.calls[call.index].operation)) == 1
        fitted = alone and find_linear_form(call.operation) is not None
        if fitted and ends_linear(call.operation):
            later = _follow(cut.graph, call, passed)
            if later is not None:
                found[call.index] = later
    return found


def _follow(graph, call, passed):
    """Returns the `Later` of a layer, `None` if no removed block reads what it adds.

    Args:
        graph: The `Graph` of the smaller network.
        call: The call of the layer.
        passed: Set of the indices of additions that return the one input they have.
    """
    addition = SkipCompensation(graph, call).addition
    tensor = summed = (find_normalization(graph, call) or call).outputs[0]
    if addition is not None:
        tensor = summed = addition.outputs[0]
    wanted, is_rectified = None, False
    while True:
        readers = graph.consumers().get(tensor, [])
        if tensor in graph.outputs or len(readers) != 1:
            break
        (reader,) = readers
        if reader.index in passed:
            wanted, is_rectified = reader.outputs[0], False
        elif find_ceiling(reader.operation) == math.inf:
            # The sum before it is what it returns, where that is above 0.
            is_rectified = True
        else:
            break
        tensor = reader.outputs[0]
    return None if wanted is None else Later(summed, wanted, is_rectified)
