"""Samples of all workers, on their way to the table."""

from keras_shapley_prune.devices.workers import Workers, current_workers

MOST_BYTES = 2**25  # of samples that wait: then they are added up


class SharedSamples:
    """Adds to a table what all workers have sampled.

    Samples wait until somebody looks at the table, so that few all-reduces serve many
    rounds. They are added round by round, as on one worker: the table is the same to
    the last bit.

    Args:
        table: The `SampleTable`.
        is_shared: Boolean, see `SampleSource`.
    """

    def __init__(self, table, is_shared):
        self._table, self._waiting, self._bytes = table, [], 0
        self._workers = current_workers() if is_shared else Workers()

    def add(self, rows, samples, counted):
        """Adds the samples of a round, see `SampleTable.add`."""
        self._waiting.append((rows, samples, counted))
        self._bytes += 8 * samples.size
        if self._workers.count == 1 or self._bytes > MOST_BYTES:
            self.settle()

    def settle(self):
        """Brings to the table all that waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        totals = self._workers.sum(*[s for _, s, _ in waiting]) if waiting else []
        for (rows, _, counted), total in zip(waiting, totals, strict=True):
            self._table.add(rows, total, counted)
