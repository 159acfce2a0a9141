"""When to stop: evaluations, seconds, or a ranking that is sure enough."""

import dataclasses
import time

import numpy as np
import scipy.special

from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.inputs.arguments import (
    check_at_least,
    check_integer,
    check_share,
)
from keras_shapley_prune.rank.settings import Settings

_FEWEST_ROWS = 16  # before which a standard error says little


@dataclasses.dataclass(frozen=True, repr=False)
class StopWhen(Settings):
    """When a ranking is stopped before it has drawn all of its samples.

    The first limit that is reached counts. Evaluations and seconds are shared out
    over groups and stages, in proportion to what each was planned to take, and a
    group has at least one batch.

    Args:
        misassigned: Float in [0, 1], or `None`. A group is sure enough when its
            standard errors predict that at most this share of the removed units is
            chosen wrongly. The predicted share is the sum, over the units, of the
            probability that a unit's value lies on the other side of the boundary
            between removed and kept, divided by twice the number of units to remove.
        evaluations: Integer, or `None`: the coalitions that may be evaluated, counted
            an example at a time.
        seconds: Float, or `None`: the seconds that it may take.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    sure_or_slow = keras_shapley_prune.StopWhen(misassigned=0.05, seconds=60)
    ranker = keras_shapley_prune.ShapleyRanker("loss", stop=sure_or_slow)
    ```
    """

    misassigned: float | None = None
    evaluations: int | None = None
    seconds: float | None = None

    def __post_init__(self):
        if self.misassigned is not None:
            check_share("misassigned", self.misassigned)
        if self.evaluations is not None:
            check_integer("evaluations", self.evaluations, 1)
        if self.seconds is not None:
            check_at_least("seconds", self.seconds, 0, excluded=True)


class Budget:
    """What a ranking may spend, and what it has spent.

    Args:
        stop: A `StopWhen`.
        workers: The `Workers` that stop together, of whom the first has the clock.

    Attributes:
        spent: Integer, coalitions evaluated so far.
    """

    def __init__(self, stop, workers=None):
        self.stop, self.spent = stop, 0
        self._workers = workers or Workers()
        self._start = time.perf_counter()

    @property
    def seconds(self):
        """Float, the seconds since the ranking began, without those between runs."""
        seconds = time.perf_counter() - self._start
        if self.stop.seconds is None:  # then nothing depends on it
            return seconds
        return self._workers.agree(seconds)[0]

    @property
    def state(self):
        """Dict, what `restore` takes."""
        return {"spent": self.spent, "seconds": self.seconds}

    def restore(self, state):
        """Goes on from what another process had spent, a dict."""
        self.spent = state["spent"]
        self._start = time.perf_counter() - state["seconds"]

    def start_leg(self, share, num_to_find, share_of_time=None):
        """Returns the `Leg` that may spend a share of what has not been spent.

        Args:
            share: Float in (0, 1], of the evaluations.
            num_to_find: Integer, how many units will be removed after the leg.
            share_of_time: Float in (0, 1], of the seconds; `None` for the same.
        """
        # A share of what is still there: what earlier legs did not need is passed on to
        # later ones, and what they overdrew is missing there.
        evaluations = seconds = np.inf
        if self.stop.evaluations is not None:
            evaluations = share * (self.stop.evaluations - self.spent)
        now = self.seconds
        if self.stop.seconds is not None:
            share_of_time = share if share_of_time is None else share_of_time
            seconds = share_of_time * (self.stop.seconds - now)
        return Leg(self, self.spent + evaluations, now + seconds, num_to_find)


class Leg:
    """One stage of one group."""

    def __init__(self, budget, evaluations, deadline, num_to_find):
        self._budget, self._num_to_find = budget, num_to_find
        self._evaluations, self._deadline = evaluations, deadline

    @property
    def state(self):
        """Dict, what `restore` takes: the limits of the leg, and what is spent."""
        limits = {"evaluations": self._evaluations, "deadline": self._deadline}
        return {"budget": self._budget.state, **limits}

    def restore(self, state):
        """Goes on with a leg that another process had begun, a dict."""
        self._budget.restore(state["budget"])
        self._evaluations, self._deadline = state["evaluations"], state["deadline"]

    @property
    def looks(self):
        """Boolean, whether `is_over` looks at the table."""
        return self._budget.stop.misassigned is not None

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
        if self._budget.seconds > self._deadline:
            return True
        if self._budget.stop.misassigned is None:
            return False
        if table.num_rows_of[active].min() < _FEWEST_ROWS:
            return False
        # Of the units in play: the others have been decided on.
        values, errors = table.estimate()
        share = predict_misassigned(values[active], errors[active], self._num_to_find)
        return share <= self._budget.stop.misassigned


def predict_misassigned(values, standard_errors, num_removed):
    """Predicts which share of the units to remove is chosen wrongly.

    `sum(Phi(-|value - b| / standard error)) / (2 * num_removed)`, where `b` lies
    between the units that are removed and those that are kept: each term is the
    probability that a unit's value really is on the other side, if errors are normal.

    Args:
        values: Float array, shape `(num_units,)`.
        standard_errors: Float array, shape `(num_units,)`.
        num_removed: Integer, how many of the lowest units are removed.

    Returns:
        Float.
    """
    # Nothing or everything is removed: no unit can be on the wrong side.
    if not 0 < num_removed < len(values):
        return 0.0
    ordered = np.sort(values)
    # Half-way between the highest unit that is removed and the lowest that is kept.
    boundary = ordered[num_removed - 1 : num_removed + 1].mean()
    distance = np.abs(values - boundary)
    with np.errstate(invalid="ignore", divide="ignore"):
        # On the boundary either side is as likely, also if the error is 0.
        distance = np.where(distance == 0, 0, distance / standard_errors)
    wrong = scipy.special.ndtr(-distance)
    # For each unit that is wrongly kept another is wrongly removed: both are in the
    # sum.
    return float(wrong.sum() / (2 * num_removed))
