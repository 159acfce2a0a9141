"""Which examples of which batch a worker looks at."""

import itertools

from keras_shapley_prune.devices.workers import current_workers


class Parts:
    """Batches, each cut into a part for every worker.

    Parts are numbered through all batches, and worker k takes every part number that
    is k modulo the number of workers, as `Workers.takes` says. So where batches do not
    divide evenly, it is not always the same worker that has more to do. A batch with
    fewer examples than there are workers has fewer parts.

    Args:
        sizes: List of integers, how many examples each batch has.
        divisible: Boolean, whether a part of a batch can be run for itself.
        workers: The `Workers`, or `None` for the current ones.

    Attributes:
        slices: List of tuples of a batch's number and a `slice` of its examples, one a
            part.
    """

    def __init__(self, sizes, divisible=True, workers=None):
        workers = workers or current_workers()
        self.slices, self._own = [], {}
        for batch, size in enumerate(sizes):
            count = min(workers.count, size) if divisible else 1
            ends = [place * size // count for place in range(count + 1)]
            for start, stop in itertools.pairwise(ends):
                if workers.takes(len(self.slices)):
                    self._own[batch] = len(self.slices)
                self.slices.append((batch, slice(start, stop)))

    def own(self, batch):
        """Returns the number of this worker's part of a batch, `None` without one."""
        return self._own.get(batch)

    def rows(self, batch):
        """Returns the `slice` of a batch's examples that are this worker's."""
        number = self.own(batch)
        return slice(0, 0) if number is None else self.slices[number][1]

    def cut(self, batches):
        """Returns the parts of all batches.

        Args:
            batches: List of lists of tensors, one list a batch.
        """
        if len(self.slices) == len(batches):  # nothing is divided
            return list(batches)
        return [[t[rows] for t in batches[batch]] for batch, rows in self.slices]
