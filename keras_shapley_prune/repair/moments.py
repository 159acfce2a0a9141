"""Moments of what the layers of a network read, from one pass through it."""

import numpy as np

from keras_shapley_prune.repair.gram import Gram, check_finite
from keras_shapley_prune.repair.readers import Reader
from keras_shapley_prune.trace.forward_pass import ForwardPass


class InputMoments:
    """Moments of what the readers of some groups read in a whole network.

    There, what a linear layer should return is what it returns. So moments with it
    follow from those of what it reads and from its weights. Readers of the same rows
    share their moments.

    Args:
        channel_map: The `ChannelMap` of the network.
        groups: Sequence of its `ChannelGroup`s.
        batches: List of lists of input tensors, one list a batch.
        max_columns: Integer, see `Reader`.

    Attributes:
        channel_map: The `ChannelMap`.
        keep: Boolean array: all units.
    """

    def __init__(self, channel_map, groups, batches, max_columns):
        self.channel_map = channel_map
        self.keep = np.ones(channel_map.num_units, bool)
        self._readers, firsts = {}, {}
        ends = [end for group in groups for end in channel_map.ends_of(group)]
        for index, position in sorted(set(ends)):
            reader = Reader(channel_map.graph.calls[index], position, max_columns)
            self._readers[index, position] = reader
            firsts.setdefault(reader.key, reader)
        self._covariances = dict.fromkeys(firsts)
        network = ForwardPass(channel_map.graph, batches)
        self._num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        for key, reader in firsts.items():
            self._covariances[key] = self._measure(network, reader)

    def advance(self, position):
        """All is known already."""

    def collect(self, call, position, max_columns):
        """Returns what `Repairer.collect` does."""
        reader = self._readers[call.index, position]
        return reader, reader.complete(self._covariances[reader.key])

    def _measure(self, network, reader):
        """Returns the covariances of a reader's columns."""
        network.advance(reader.call.index)
        gram = Gram(len(reader.channel_of), 0)
        for batch in range(network.num_batches):
            gram.add(reader.take(network.values(batch), {}, self._num_examples))
        check_finite(gram.xx, reader.call)
        return gram.covariances()[2]
