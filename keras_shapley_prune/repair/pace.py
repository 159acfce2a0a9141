"""How far a training has come: by its steps, or by the clock."""

import math
import time

from keras_shapley_prune.devices.workers import current_workers

_RISE = 0.1  # the share of the training in which the rate rises


class Pace:
    """Counts steps, and says when the last one has been taken.

    Args:
        num_steps: Integer, or `None` for those that `minutes` has room for.
        minutes: Float, from now on. Of several workers, the first one's clock is that
            of all, who ask for `rate` and `goes_on` after the same steps.

    Attributes:
        num_done: Integer, the steps so far.
    """

    def __init__(self, num_steps=None, minutes=None):
        self._num_steps = num_steps
        self._begin = time.perf_counter()
        self._end = None if minutes is None else self._begin + 60 * minutes
        self._step_seconds = self._check_seconds = 0.0
        self.num_done = 0
        self._is_compiled = False
        self._workers = current_workers()

    @property
    def state(self):
        """Dict, what `restore` takes."""
        now = time.perf_counter()
        return {
            "num_done": self.num_done,
            "passed": now - self._begin,
            "left": None if self._end is None else self._end - now,
            "step_seconds": self._step_seconds,
            "check_seconds": self._check_seconds,
        }

    def restore(self, state):
        """Goes on with the training of another process, a dict."""
        now = time.perf_counter()
        self.num_done, self._begin = state["num_done"], now - state["passed"]
        self._end = None if state["left"] is None else now + state["left"]
        self._step_seconds = state["step_seconds"]
        self._check_seconds = state["check_seconds"]

    @property
    def share(self):
        """Float in [0, 1], how much of the training is done."""
        if self._end is None:
            return self.num_done / self._num_steps
        if self.num_done == 0:
            return 0.0
        passed = time.perf_counter() - self._begin
        return min(passed / max(self._end - self._begin, 1e-9), 1.0)

    @property
    def rate(self):
        """Float in [0, 1], for the next step: a short rise, then a cosine to zero."""
        share, share_of_step = self._agree(self.share, self._share_of_step)
        # The first gradients say little of how far Adam should go, and its first steps
        # all have full length: a network that they have damaged is slow to come back.
        rise = min((share + share_of_step) / _RISE, 1.0)
        return rise * (1 + math.cos(math.pi * share)) / 2

    @property
    def _share_of_step(self):
        if self._end is None:
            return 1 / self._num_steps
        return self._step_seconds / max(self._end - self._begin, 1e-9)

    def goes_on(self):
        """Returns whether there is room for a step, and for a check after it."""
        if self._end is None:
            return self.num_done < self._num_steps
        needed = self._step_seconds + self._check_seconds
        (goes_on,) = self._agree(time.perf_counter() + needed < self._end)
        return bool(goes_on)

    def _agree(self, *numbers):
        """Returns what depends on the clock as the first worker has it."""
        return numbers if self._end is None else self._workers.agree(*numbers)

    def step(self, take):
        """Takes a step, a callable, and counts it."""
        start = time.perf_counter()
        take()
        self.num_done += 1
        if self.num_done == 1:
            # It has compiled what the others run: the rate falls from here on.
            self._begin = time.perf_counter()
        elif self._is_compiled:  # in this process, too
            self._step_seconds = time.perf_counter() - start
        self._is_compiled = True

    def check(self, measure):
        """Returns what a callable returns, and takes down how long that takes."""
        start = time.perf_counter()
        found = measure()
        self._check_seconds = time.perf_counter() - start
        return found
