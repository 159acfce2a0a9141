"""Moments of what the layers of a network read, from one pass through it."""

import math

import numpy as np

from keras_shapley_prune.repair.augmented_copies import AugmentedCopies, count_copies
from keras_shapley_prune.repair.gram import Gram, check_finite
from keras_shapley_prune.repair.readers import Reader
from keras_shapley_prune.repair.targets import RecordedTargets
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
        targets: `RecordedTargets` that take down what repair will ask for, or `None`.

    Attributes:
        channel_map: The `ChannelMap`.
        keep: Boolean array: all units.
    """

    def __init__(self, channel_map, groups, batches, targets=None):
        self.channel_map, self._targets = channel_map, targets or RecordedTargets()
        self.keep = np.ones(channel_map.num_units, bool)
        self._readers, firsts = {}, {}
        ends = [end for group in groups for end in channel_map.ends_of(group)]
        for index, position in sorted(set(ends)):
            reader = Reader(channel_map.graph.calls[index], position)
            self._readers[index, position] = reader
            firsts.setdefault(reader.key, reader)
        self._num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        self._covariances = {}
        if targets is not None:
            targets.start(channel_map, groups, batches)
        self._run(firsts, batches)

    def _run(self, firsts, batches):
        """Runs the network once, and stops at each call that is read or fitted."""
        graph, wanted = self.channel_map.graph, self._targets.wanted
        network = ForwardPass(graph, batches, segments=self._targets.segments)
        copies, read_at = AugmentedCopies(batches), {}
        for key, reader in firsts.items():
            read_at.setdefault(reader.call.index, []).append((key, reader))
        for index in sorted({*read_at, *wanted}):
            network.advance(index)
            found = {key: self._gram(reader) for key, reader in read_at.get(index, [])}
            for batch in range(network.num_batches):
                values = network.values(batch)
                for key, reader in read_at.get(index, []):
                    found[key].add(reader.take(values, {}, self._num_examples))
                if index in wanted:
                    after = network.look_ahead(batch, index + 1)
                    self._targets.record(graph.calls[index], values, after)
            for key, reader in read_at.get(index, []):
                for alone in copies.take(self._count_copies(reader), network):
                    self._add(found[key], reader, *alone)
                check_finite(found[key].xx, reader.call)
                self._covariances[key] = found[key].covariances()[2]

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

    def _gram(self, reader):
        return Gram(len(reader.channel_of), 0)

    def _add(self, gram, reader, network):
        """Adds what a reader reads in a copy of the data."""
        for batch in range(network.num_batches):
            gram.add(reader.take(network.values(batch), {}, self._num_examples))
