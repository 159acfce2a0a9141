"""Sums over batches, and over workers, that go on where another process was killed."""

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.repair.gram import totals

_NAMES = ("shift_x", "shift_y", "sum_x", "sum_y", "xx", "xy", "yy")


class RunningSums:
    """Some `Gram`s, and how many batches have been added to them.

    Args:
        grams: Iterable of `Gram`s, which get the sums that are stored, if there are.
        entry: An `Entry`, or `None`: then nothing is stored.
        workers: The `Workers` that have batches of their own. Several store nothing
            before the end: they are not at the same batch at the same time.
    """

    def __init__(self, grams, entry=None, workers=None):
        self._grams, self._workers = list(grams), workers or Workers()
        self._entry = entry or Checkpoint().entry("moments")
        content = self._entry.read()
        if content is not None and self._workers.count > 1:
            # The batches of one worker alone were other ones.
            content = content if content["is_finished"] else None
        self._num_stored = 0 if content is None else content["num_batches"]
        self._num_batches = 0
        self._is_finished = content is not None and content["is_finished"]
        if content is not None:
            self._restore(content)

    def skip(self):
        """Counts a batch, and returns whether it is in the sums already."""
        self._num_batches += 1
        return self._num_batches <= self._num_stored

    def keep(self):
        """Stores the sums of the batches that have been counted, every so often."""
        if self._workers.count == 1:
            self._entry.write_if_due(self._collect)

    def finish(self):
        """Stores the sums of all batches, which are those of all workers then."""
        if not self._is_finished:
            self._is_finished = True
            for gram, found in zip(
                self._grams, totals(self._grams, self._workers), strict=True
            ):
                vars(gram).update(vars(found))
            self._entry.write(self._collect())

    def _collect(self):
        found = {
            "num_batches": self._num_batches,
            "is_finished": self._is_finished,
            "counts": [gram.count for gram in self._grams],
        }
        for place, gram in enumerate(self._grams):
            if gram.count:
                found |= {f"{name}.{place}": getattr(gram, name) for name in _NAMES}
        return found

    def _restore(self, content):
        for place, gram in enumerate(self._grams):
            gram.count = content["counts"][place]
            if gram.count:
                for name in _NAMES:
                    setattr(gram, name, content[f"{name}.{place}"])
