"""Sums over batches that go on where another process was killed."""

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint

_NAMES = ("shift_x", "shift_y", "sum_x", "sum_y", "xx", "xy", "yy")


class RunningSums:
    """Some `Gram`s, and how many batches have been added to them.

    Args:
        grams: Iterable of `Gram`s, which get the sums that are stored, if there are.
        entry: An `Entry`, or `None`: then nothing is stored.
    """

    def __init__(self, grams, entry=None):
        self._grams = list(grams)
        self._entry = entry or Checkpoint().entry("moments")
        content = self._entry.read()
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
        self._entry.write_if_due(self._collect)

    def finish(self):
        """Stores the sums of all batches."""
        if not self._is_finished:
            self._is_finished = True
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
