"""Samples of the units that are still open, of a game on the network's outputs."""

import itertools

from keras_shapley_prune.rank.sources import SampleSource


class AdaptiveSource(SampleSource):
    """Walks first, and then samples the open units until everything is spent.

    Which units are open, and what has been spent, is read from the table: it is the
    same on all workers, and after a restart.

    Args:
        estimator: An `Adaptive`.
        walks: An `OutputSource` of the first of its parts.
        neighbours: An `OutputSource` of the second, on the same examples.
        batch_sizes: List of integers.
        num_removed: Integer, how many units will be removed.
    """

    looks = True

    def __init__(self, estimator, walks, neighbours, batch_sizes, num_removed):
        super().__init__(walks.table)
        self._estimator, self._walks, self._neighbours = estimator, walks, neighbours
        self._batch_sizes, self._num_removed = batch_sizes, num_removed
        self.is_shared = walks.is_shared

    def rounds(self, active, stage):
        cost_of = self._estimator.num_evaluations
        limit = cost_of(self.num_units) * self._estimator.num_draws
        limit *= sum(self._batch_sizes)
        # The neighbours' rounds look at this array when they are called.
        sampled = active.copy()
        rounds = itertools.zip_longest(
            self._walks.rounds(active, stage), self._neighbours.rounds(sampled, stage)
        )
        visited = 0
        sizes = itertools.cycle(self._batch_sizes)
        for (walk, neighbours), size in zip(rounds, sizes, strict=False):
            sampled[:] = self._estimator.find_open(self.table, self._num_removed)
            # Each visit of an example evaluates one coalition more than it has samples.
            # If another process drew the first rounds, they are in the table before
            # they are visited here; then this is less than what was spent.
            spent = visited + int(self.table.count.sum())
            cost = size * cost_of(int(sampled.sum()))
            if not sampled.any() or spent + cost > limit:
                return
            visited += size
            all_walk = walk is not None and sampled.all()
            yield walk if all_walk else neighbours
