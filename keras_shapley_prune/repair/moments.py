"""Moments of what the layers of a network read, from one pass through it."""

import math

import numpy as np

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.repair.augmented_copies import (
    augment_batches,
    count_copies,
    most_copies,
)
from keras_shapley_prune.repair.gram import Gram, check_finite
from keras_shapley_prune.repair.readers import Reader
from keras_shapley_prune.repair.running_sums import RunningSums
from keras_shapley_prune.repair.taken_rows import find_held_out
from keras_shapley_prune.repair.threads import in_parallel
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.segments import is_worth_compiling
from keras_shapley_prune.trace.watched_pass import WatchedPass

FEWEST = 10  # examples, of which two are held out


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
        num_copies: Integer, how many `augment_batches` are read too where a layer has
            few rows; with few examples there are some anyway.
        hold_out: Boolean. If so, every fifth example is not added to the moments, but
            of fewer than `FEWEST` examples none is held out.
        entry: An `Entry` that holds the sums of the batches read so far, or `None`.
        on_share: Callable `fn(share, compiled)` that is told what share of the data has
            been read since the last call, and what share of the functions that read it
            has been compiled, or `None`.

    Attributes:
        channel_map: The `ChannelMap`.
        holds_out: Boolean, whether examples are held out.
        keep: Boolean array: all units.
    """

    def __init__(
        self,
        channel_map,
        groups,
        batches,
        targets=None,
        num_copies=0,
        hold_out=False,
        entry=None,
        on_share=None,
    ):
        check_finite_inputs(channel_map.graph.inputs, batches)
        self.channel_map = channel_map
        self.keep = np.ones(channel_map.num_units, bool)
        self._workers = current_workers()
        self._readers, firsts = {}, {}
        ends = [end for group in groups for end in channel_map.ends_of(group)]
        for index, position in sorted(set(ends)):
            reader = Reader(channel_map.graph.calls[index], position)
            self._readers[index, position] = reader
            firsts.setdefault(reader.key, reader)
        self._num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        self.holds_out = hold_out and self._num_examples >= FEWEST
        readers = firsts.values()
        seen_bytes = sum(r.count_bytes(self._num_examples) for r in readers)
        count = self._workers.count
        batches = rebatch(batches, channel_map.graph, seen_bytes, count)
        self._most_copies = max(num_copies, most_copies(self._num_examples))
        sizes = {key: len(reader.channel_of) for key, reader in firsts.items()}
        self._grams = {key: Gram(n, 0, is_single=True) for key, n in sizes.items()}
        watches = [(r.call.index, self._look_at(r)) for r in firsts.values()]
        if targets is not None:
            watches += targets.watch(channel_map, groups, batches)
        compiled = is_worth_compiling(batches[::count])
        network = WatchedPass(channel_map.graph, watches, compiled)
        self._sums = RunningSums(self._grams.values(), entry, self._workers)
        few = {key: self._count_copies(reader) for key, reader in firsts.items()}
        num_copies = max(few.values(), default=0)
        self._on_share, self._part = on_share, 1 / (len(batches) * (1 + num_copies))
        self._functions = 1 + bool(num_copies)
        first = 0
        for number, inputs in enumerate(batches):
            known = self._sums.skip()
            # Targets are not kept: they are a part of what the network computes.
            if not self._workers.takes(number):
                if targets is not None:
                    targets.skip()
            elif targets is not None or not known:
                seen = network.run(inputs)
                if not known:
                    self._add(firsts, seen, first)
                if targets is not None:
                    targets.record(seen[len(firsts) :])
            first += len(inputs[0])
            self._tell(is_first=number == 0)
        self._read_copies(firsts, few, batches)
        self._sums.finish()
        for key, reader in firsts.items():
            check_finite(self._grams[key].xx, reader.call)

    def _tell(self, is_first):
        """Tells that a batch has been read, the first one by a new function or not."""
        if self._on_share is not None:
            self._on_share(self._part, is_first / self._functions)

    def advance(self, position):
        """All is known already."""

    def collect(self, call, position):
        """Returns what `Repairer.collect` does."""
        reader = self._readers[call.index, position]
        return reader, reader.complete(self._grams[reader.key].covariances()[2])

    def mean_of(self, call, position):
        """Returns the means of the columns that `collect` has the covariances of."""
        return self._grams[self._readers[call.index, position].key].mean_x

    def _look_at(self, reader):
        return lambda values: reader.take(values, {}, self._num_examples)

    def _add(self, keys, seen, first):
        """Adds what was seen of a batch to the moments, but for what is held out."""
        adds, chosen = [self._grams[key].add for key in keys], slice(None)
        if self.holds_out:
            chosen = np.flatnonzero(~find_held_out(first, len(seen[0])))
        in_parallel(
            lambda add, rows: add(np.asarray(rows)[chosen]), adds, seen[: len(adds)]
        )
        self._sums.keep()

    def _read_copies(self, firsts, few, batches):
        """Reads augmented copies of the data where there are few rows."""
        few = {key: count for key, count in few.items() if count}
        watches = [(firsts[k].call.index, self._look_at(firsts[k])) for k in few]
        compiled = is_worth_compiling(batches[:: self._workers.count])
        network = WatchedPass(self.channel_map.graph, watches, compiled)
        for copy in range(max(few.values(), default=0)):
            read = [key for key, count in few.items() if copy < count]
            first = 0
            made = augment_batches(batches, copy)  # empty if there are no images
            pairs = zip(batches, made, strict=False)
            for number, (inputs, make) in enumerate(pairs):
                known = self._sums.skip()
                if self._workers.takes(number) and not known:
                    seen = dict(zip(few, network.run(make()), strict=True))
                    self._add(read, [seen[key] for key in read], first)
                first += len(inputs[0])
                self._tell(is_first=copy == number == 0)

    def _count_copies(self, reader):
        """Returns how many augmented copies of the data are read too."""
        shape = reader.positions_shape
        num_rows = self._num_examples * math.prod(n or 1 for n in shape)
        return count_copies(num_rows, len(reader.channel_of), self._most_copies)
