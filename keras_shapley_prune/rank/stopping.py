"""When to stop: evaluations, seconds, or a ranking that is sure enough."""

import time

import numpy as np
import scipy.special

_FEWEST_ROWS = 16  # before which a standard error says little


class Budget:
    """What a ranking may spend.

    Args:
        max_evaluations: Integer, coalitions evaluated, an example at a time, or
            `None`.
        max_seconds: Float, or `None`.
        until: Float, the predicted share of misassigned units at which a group is
            sure enough, or `None`.
    """

    def __init__(self, max_evaluations=None, max_seconds=None, until=None):
        self.max_evaluations, self.max_seconds = max_evaluations, max_seconds
        self.until = until
        self.spent = 0
        self._start = time.perf_counter()

    def start_leg(self, share, num_leaving, share_of_time=None):
        """Returns the `Leg` that may spend a share of what is left.

        Args:
            share: Float in (0, 1], of the evaluations.
            share_of_time: Float in (0, 1], of the seconds; `None` for the same.
            num_leaving: Integer, how many units the leg has to find.
        """
        evaluations = seconds = np.inf
        if self.max_evaluations is not None:
            evaluations = share * (self.max_evaluations - self.spent)
        now = time.perf_counter()
        if self.max_seconds is not None:
            share_of_time = share if share_of_time is None else share_of_time
            seconds = share_of_time * (self.max_seconds - (now - self._start))
        return Leg(self, self.spent + evaluations, now + seconds, num_leaving)


class Leg:
    """One stage of one group."""

    def __init__(self, budget, evaluations, deadline, num_leaving):
        self._budget, self._num_leaving = budget, num_leaving
        self._evaluations, self._deadline = evaluations, deadline

    def is_over(self, cost, table, active):
        """Counts a round, and returns whether there should be no other.

        Args:
            cost: Integer, the evaluations of the round.
            table: The `SampleTable`.
            active: Boolean array, shape `(num_units,)`, the units in play.
        """
        self._budget.spent += cost
        # Stop as near to the limit as whole rounds allow.
        if self._budget.spent + cost / 2 > self._evaluations:
            return True
        if time.perf_counter() > self._deadline:
            return True
        if self._budget.until is None:
            return False
        moments = table.moments
        if moments.rows[active].min() < _FEWEST_ROWS:
            return False
        mean, error = moments.mean[active], moments.standard_error[active]
        share = predict_misassigned(mean, error, self._num_leaving)
        return share <= self._budget.until


def predict_misassigned(values, standard_errors, num_removed):
    """Predicts which share of the units to remove is taken wrongly.

    `sum(Phi(-|value - b| / standard error)) / (2 * num_removed)`, where `b` lies
    between the units that are removed and those that stay: each term is the
    probability that a unit's value really is on the other side, if errors are normal.

    Args:
        values: Float array, shape `(num_units,)`.
        standard_errors: Float array, shape `(num_units,)`.
        num_removed: Integer, how many of the lowest units are removed.

    Returns:
        Float.
    """
    if not 0 < num_removed < len(values):
        return 0.0
    ordered = np.sort(values)
    boundary = ordered[num_removed - 1 : num_removed + 1].mean()
    distance = np.abs(values - boundary)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(distance == 0, 0, distance / standard_errors)
    wrong = scipy.special.ndtr(-distance)
    return float(wrong.sum() / (2 * num_removed))
