"""Moments of what the layers of a network read, from one pass through it."""

import math

import numpy as np

from keras_shapley_prune.repair.augmented_copies import AugmentedCopies, count_copies
from keras_shapley_prune.repair.gram import Gram, check_finite
from keras_shapley_prune.repair.readers import Reader
from keras_shapley_prune.trace.forward_pass import ForwardPass

MOST_COPIES = 2  # two more bring a point, for twice the price of the ranking


class InputMoments:
    """Moments of what the readers of some groups read in a whole network.

    There, what a linear layer should return is what it returns. So moments with it
    follow from those of what it reads and from its weights. Readers of the same rows
    share their moments.

    Args:
        channel_map: The `ChannelMap` of the network.
        groups: Sequence of its `ChannelGroup`s.
        batches: List of lists of input tensors, one list a batch.

    Attributes:
        channel_map: The `ChannelMap`.
        keep: Boolean array: all units.
    """

    def __init__(self, channel_map, groups, batches):
        self.channel_map = channel_map
        self.keep = np.ones(channel_map.num_units, bool)
        self._readers, firsts = {}, {}
        ends = [end for group in groups for end in channel_map.ends_of(group)]
        for index, position in sorted(set(ends)):
            reader = Reader(channel_map.graph.calls[index], position)
            self._readers[index, position] = reader
            firsts.setdefault(reader.key, reader)
        self._covariances = dict.fromkeys(firsts)
        self._num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        network = ForwardPass(channel_map.graph, batches)
        copies = AugmentedCopies(batches)
        for key, reader in firsts.items():
            network.advance(reader.call.index)
            taken = copies.take(self._count_copies(reader), network)
            networks = [network, *(alone for (alone,) in taken)]
            self._covariances[key] = self._measure(networks, reader)

    def advance(self, position):
        """All is known already."""

    def collect(self, call, position):
        """Returns what `Repairer.collect` does."""
        reader = self._readers[call.index, position]
        return reader, reader.complete(self._covariances[reader.key])

    def _count_copies(self, reader):
        """Returns how many augmented copies of the data are read too."""
        shape = reader.positions_shape
        num_rows = self._num_examples * math.prod(n or 1 for n in shape)
        return count_copies(num_rows, len(reader.channel_of), MOST_COPIES)

    def _measure(self, networks, reader):
        """Returns the covariances of a reader's columns."""
        gram = Gram(len(reader.channel_of), 0)
        for network in networks:
            for batch in range(network.num_batches):
                gram.add(reader.take(network.values(batch), {}, self._num_examples))
        check_finite(gram.xx, reader.call)
        return gram.covariances()[2]
