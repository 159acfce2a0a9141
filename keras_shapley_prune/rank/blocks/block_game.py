"""The game of blocks: how far the outputs are from the original's without some."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.rank.blocks.coalition_runs import CoalitionRuns
from keras_shapley_prune.rank.output_costs.output_scale import OutputScale
from keras_shapley_prune.trace.batches import has_fixed_batch, rebatch

GAME_EXAMPLES = 64


class BlockGame:
    """A coalition of blocks is worth minus the squared change of the outputs.

    Args:
        channel_map: A `ChannelMap`.
        group: Its `ChannelGroup` of blocks.
        batches: List of lists of input tensors, one list a batch. The first examples
            are looked at.
        made_up: Boolean, whether what repair will make up for is foreseen, see
            `CoalitionRuns`.

    Attributes:
        num_examples: Integer, how many are looked at.
    """

    def __init__(self, channel_map, group, batches, made_up=True):
        graph, self._group = channel_map.graph, group
        self._runs = CoalitionRuns(channel_map, group, made_up)
        self._graph = graph
        # What is held of each block is what it reads, while its coalitions are run.
        places = [place for block in channel_map.blocks for place in block.places]
        tensors = [graph.calls[index].inputs[position] for index, position in places]
        sizes = [4 * math.prod(n or 1 for n in tensor.shape[1:]) for tensor in tensors]
        self._batches = take_examples(batches, graph, GAME_EXAMPLES, 2 * sum(sizes))
        self._scale = OutputScale(graph, self._batches[0])
        self.num_examples = sum(len(inputs[0]) for inputs in self._batches)

    def evaluate(self, coalitions, on_share=None, entry=None):
        """Returns what coalitions are worth to each example.

        Args:
            coalitions: Boolean array, shape `(num_coalitions, num_blocks)`.
            on_share: Callable `fn(share)`, called with what share has been done since
                the last call, or `None`.
            entry: An `Entry` that holds the values of the batches so far, or `None`.

        Returns:
            Float array, shape `(num_examples, num_coalitions)`.
        """
        entry = entry or Checkpoint().entry("blocks")
        known = (entry.read() or {}).get("values")
        found = [] if known is None else [known]
        done = 0 if known is None else len(known)
        for inputs in self._batches:
            if done >= len(inputs[0]):  # they have been run by another process
                done -= len(inputs[0])
            else:
                found.append(self._run(inputs, coalitions))
                entry.write_if_due(lambda: {"values": np.concatenate(found)})
            if on_share is not None:
                on_share(len(inputs[0]) / self.num_examples)
        return np.concatenate(found)

    def _run(self, inputs, coalitions):
        inputs = [tf.convert_to_tensor(tensor) for tensor in inputs]
        values = self._graph.feed(inputs)
        self._graph.run_between(values, 0, len(self._graph.calls))
        whole = self._scale(values)
        worth = np.zeros((len(inputs[0]), len(coalitions)))
        for rows, values in self._runs.run(inputs, coalitions):
            change = self._compare(self._scale(values), whole)
            worth[:, rows] = -change[:, np.newaxis]
        return worth

    def _compare(self, outputs, whole):
        """Returns how far outputs are from those of the whole network, each example."""
        return squared_change(outputs, whole)


def squared_change(outputs, others):
    """Returns the squared change of the outputs, of each example.

    Args:
        outputs: List of tensors, on the scale of an `OutputScale`.
        others: The same of another network.
    """
    change = 0.0
    for ours, theirs in zip(outputs, others, strict=True):
        axes = list(range(1, len(ours.shape)))
        change += tf.reduce_sum((ours - theirs) ** 2, axes).numpy()
    return change


def take_examples(batches, graph, most, held_bytes=0):
    """Returns the first examples, in batches of a size that suits the network.

    Args:
        batches: List of lists of input tensors, one list a batch.
        graph: The recorded `Graph`.
        most: Integer, how many examples at most.
        held_bytes: Integer, what is held of one example beside the tensors of a pass.
    """
    taken, count = [], 0
    for inputs in batches:
        size = len(inputs[0])
        if count >= most:
            break
        if not has_fixed_batch(graph):
            inputs = [tensor[: most - count] for tensor in inputs]
        taken.append(list(inputs))
        count += size
    return rebatch(taken, graph, held_bytes)
