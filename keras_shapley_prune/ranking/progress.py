"""Keras's progress bar over the units of all groups and batches."""

import keras


class Progress:
    """Counts units ranked (or batches, with `verbose=2`).

    Args:
        games: Sequence of `Game`, in the order in which a batch passes them.
        num_batches: Integer, or `None` if it is not known.
        verbose: `"auto"` or 1 for a progress bar, 2 for one step a batch, 0 for
            silence.

    Raises:
        ValueError: If `verbose` is something else.
    """

    def __init__(self, games, num_batches, verbose):
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(
                "Argument `verbose` should be 'auto', 0, 1 or 2. "
                f"Received: verbose={verbose!r}"
            )
        verbose = 1 if verbose == "auto" else int(verbose)
        self._by_batch = verbose == 2
        self._last = games[-1]
        self._seen, self._bar = 0, None
        if verbose:
            steps = 1 if self._by_batch else sum(g.group.num_units for g in games)
            target = None if num_batches is None else num_batches * steps
            unit = "batch" if self._by_batch else "unit"
            self._bar = keras.utils.Progbar(target, unit_name=unit)

    def add(self, game):
        """Counts one batch of one group."""
        if self._bar is None or (self._by_batch and game is not self._last):
            return
        self._seen += 1 if self._by_batch else game.group.num_units
        self._bar.update(self._seen)

    def finish(self):
        """Ends the line of a bar whose length was not known."""
        if self._bar is not None and self._bar.target is None:
            self._bar.update(self._seen, finalize=True)
