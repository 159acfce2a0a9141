"""Keras's progress bar over the seconds that a ranking is expected to take."""

import time

import keras

from keras_shapley_prune.inputs.arguments import check_verbose


class Progress:
    """A bar over the seconds that were planned, or a line for each group.

    Each round counts with the share that it was planned to have, so that rounds of
    different groups compare.

    Args:
        seconds: Float, planned for all groups.
        verbose: `"auto"` or 1 for a progress bar, 2 for a line a group, 0 for silence.

    Raises:
        ValueError: If `verbose` is something else.
    """

    def __init__(self, seconds, verbose):
        check_verbose(verbose)
        self._verbose = 1 if verbose == "auto" else int(verbose)
        self._planned, self._done = max(seconds, 1e-9), 0.0
        self._start = time.perf_counter()
        self._bar = None
        if self._verbose == 1:
            self._bar = keras.utils.Progbar(100, unit_name="%")

    def add(self, seconds):
        """Counts what was planned to take so many seconds."""
        self._done += seconds
        if self._bar is not None:
            # The plan may have been too low: 100 is for `finish`.
            self._bar.update(min(int(100 * self._done / self._planned), 99))

    def end_group(self, name, scores):
        """Prints a line about a group with `verbose=2`."""
        if self._verbose == 2:
            spent = time.perf_counter() - self._start
            print(
                f"{name}: {scores.num_evaluations:,} evaluations, {spent:.1f} s so far"
            )

    def finish(self):
        """Completes the bar."""
        if self._bar is not None:
            self._bar.update(100)
