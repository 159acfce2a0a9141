"""What a layer before removed blocks should return: what came out behind them.

The stream that enters a removed block is the one that leaves it. Nothing reads it in
between any more, so the layer that writes to it last can aim at what the original had
behind the block: it makes up for what the block would have added.
"""

import math

import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear, find_normalization
from keras_shapley_prune.layer_types.registry import find_layer_type, find_linear_form
from keras_shapley_prune.repair.skip_compensation import SkipCompensation, unscale
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


class LaterSum:
    """What a layer would have to add, so that the stream is as behind removed blocks.

    Args:
        graph: The recorded `Graph` of the original.
        call: The call of the layer, linear up to its output.
        wanted: Symbolic tensor, the sum behind the last of the blocks.
        start: Integer, the index of the next call: that of the layer, or the one behind
            it.
    """

    def __init__(self, graph, call, wanted, start):
        self._wanted, normalization = wanted, find_normalization(graph, call)
        self._written = (normalization or call).outputs[0]
        self._normalization = normalization and normalization.operation
        both = [self._wanted, self._written]
        self._missing = find_ancestors(graph, both, start)

    def __call__(self, values):
        """Returns what the layer would have to add.

        Args:
            values: Dict: symbolic tensor -> value in the original, before the call at
                `start`.
        """
        values = dict(values)
        run_calls(self._missing, values)
        wanted, written = (
            tf.cast(values[x], tf.float32) for x in (self._wanted, self._written)
        )
        return unscale(wanted - written, self._normalization)


def find_later_sums(cut):
    """Finds the layers whose sums only removed blocks read, and what they should be.

    Args:
        cut: A `Cut`.

    Returns:
        Dict: index of a call -> symbolic tensor of the original, the sum behind the
        last of these blocks.
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
            wanted = _follow(cut.graph, call, passed)
            if wanted is not None:
                found[call.index] = original.calls[wanted].outputs[0]
    return found


def _follow(graph, call, passed):
    """Returns the index of the last removed addition on the way of what a layer adds.

    Args:
        graph: The `Graph` of the smaller network.
        call: The call of the layer.
        passed: Set of the indices of additions that return the one input they have.
    """
    addition = SkipCompensation(graph, call).addition
    tensor, found = (find_normalization(graph, call) or call).outputs[0], None
    if addition is not None:
        tensor = addition.outputs[0]
    while True:
        readers = graph.consumers().get(tensor, [])
        if tensor in graph.outputs or len(readers) != 1:
            return found
        (reader,) = readers
        if reader.index in passed:
            found = reader.index
        elif not _is_relu(reader):
            return found
        tensor = reader.outputs[0]


def _is_relu(call):
    layer_type = find_layer_type(call.operation)
    # The sum before it is what it returns, where that is above 0.
    return (
        layer_type is not None and layer_type.relu_ceiling(call.operation) == math.inf
    )
