"""Runs of a network without some of its blocks, which share what is the same."""

import functools

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import normalizes_channels
from keras_shapley_prune.layer_types.masked_calls import run_masked
from keras_shapley_prune.rank.blocks.matched_moments import FEWEST_ROWS, MatchedMoments
from keras_shapley_prune.trace.presence import ALWAYS, is_present


class CoalitionRuns:
    """Runs a network for many coalitions of blocks: the others are not run at all.

    Coalitions that have the same first blocks are run together as far as that. Behind
    a removed block, each BatchNormalization takes its statistics from what it reads,
    and other linear layers are brought to the moments that they had
    (`MatchedMoments`): that is most of what repair does, at the price of nothing.

    Args:
        channel_map: A `ChannelMap`.
        group: Its `ChannelGroup` of blocks.
        made_up: Boolean. If not, the network is run as it is masked.
    """

    def __init__(self, channel_map, group, made_up=True):
        self._graph, self._presence = channel_map.graph, channel_map.presence
        self._inputs_of = channel_map.block_units
        self._units = group.units
        first = {}
        for index, clauses in self._presence.items():
            for unit in frozenset().union(*clauses):
                first[unit] = min(index, first.get(unit, index))
        for (index, _), unit in self._inputs_of.items():
            first[unit] = min(index, first.get(unit, index))
        # Before the first call that depends on a block it is decided upon.
        self._starts = [first[unit] for unit in group.units.tolist()]
        self._order = np.argsort(self._starts, kind="stable")
        self._num_units, self._made_up = channel_map.num_units, made_up
        self._moments = MatchedMoments(self._graph, min(self._starts))

    def run(self, inputs, coalitions):
        """Runs one batch for each of some coalitions.

        Args:
            inputs: List of tensors.
            coalitions: Boolean array, shape `(num_coalitions, num_blocks)`.

        Yields:
            Tuple of the numbers of coalitions that are equal, an integer array, and a
            dict: symbolic output -> value without the blocks that are not in them.
        """
        if self._made_up:
            self._moments.measure(inputs)
        values = self._graph.feed(inputs)
        rows = np.arange(len(coalitions))
        keep = np.ones(self._num_units, bool)
        yield from self._decide(values, frozenset(), 0, 0, rows, coalitions, keep)

    def count_calls(self, coalitions):
        """Returns how often each call is run for some coalitions.

        Args:
            coalitions: Boolean array, shape `(num_coalitions, num_blocks)`.

        Returns:
            Dict: index of a call -> integer, or 0.
        """
        counts, columns = {}, np.asarray(coalitions, bool)[:, self._order]
        starts = np.array(self._starts)[self._order]
        for call in self._graph.calls:
            decided = int(np.searchsorted(starts, call.index, side="right"))
            prefixes = np.unique(columns[:, :decided], axis=0)
            keep = np.ones((len(prefixes), self._num_units), bool)
            keep[:, self._units[self._order[:decided]]] = prefixes
            clauses = self._presence.get(call.index, ALWAYS)
            counts[call.index] = sum(is_present(clauses, one) for one in keep)
        return counts

    def _decide(self, values, changed, position, depth, rows, coalitions, keep):
        """Yields what `run` does, for coalitions that are alike so far."""
        if depth == len(self._order):
            self._run_between(values, changed, position, len(self._graph.calls), keep)
            yield rows, values
            return
        block = self._order[depth]
        start = self._starts[block]
        changed = self._run_between(values, changed, position, start, keep)
        there = coalitions[rows, block]
        for present in (True, False):
            some = rows[there == present]
            if len(some):
                kept = keep.copy()
                kept[self._units[block]] = present
                # A copy of the dict: the other ones go on from here, too.
                yield from self._decide(
                    dict(values), changed, start, depth + 1, some, coalitions, kept
                )

    def _run_between(self, values, changed, start, stop, keep):
        """Runs some calls; returns the tensors that differ from the whole network's."""
        changed = set(changed)
        for call in self._graph.calls[start:stop]:
            if is_present(self._presence.get(call.index, ALWAYS), keep):
                gone = self._removed_at(call, keep)
                differs = bool(gone) or not changed.isdisjoint(call.inputs)
                returned = self._run_call(call, values, gone, differs)
                values.update(zip(call.outputs, returned, strict=True))
                changed.update(call.outputs if differs else ())
            for tensor in (*call.inputs, *call.outputs):
                if self._graph.last_uses.get(tensor, -1) <= call.index:
                    values.pop(tensor, None)
        return frozenset(changed)

    def _removed_at(self, call, keep):
        """Returns which inputs an addition does not read, a list."""
        units = [
            self._inputs_of.get((call.index, at)) for at in range(len(call.inputs))
        ]
        return [at for at, u in enumerate(units) if u is not None and not keep[u]]

    def _run_call(self, call, values, gone, differs):
        if gone:
            read = [values[x] for at, x in enumerate(call.inputs) if at not in gone]
            return [functools.reduce(keras.ops.add, read)]
        inputs = call.read(values)
        if differs and self._made_up and normalizes_channels(call):
            return self._normalize_anew(call, inputs)
        if differs and self._moments.applies_to(call):
            return self._moments.run(call, inputs)
        return run_masked(call, inputs, {})

    def _normalize_anew(self, call, inputs):
        (read,), operation = inputs, call.operation
        axes = list(range(len(read.shape) - 1))
        if int(np.prod(read.shape[:-1])) < FEWEST_ROWS:
            return run_masked(call, inputs, {})
        mean, variance = tf.nn.moments(tf.cast(read, tf.float32), axes)
        mapping = [(operation.moving_mean, mean), (operation.moving_variance, variance)]
        with keras.StatelessScope(state_mapping=mapping):
            return keras.tree.flatten(operation(read, training=False))
