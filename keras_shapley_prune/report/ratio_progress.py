"""One bar over a network that is pruned several times."""

# In seconds, roughly: what a measurement takes, and planning by a clock.
_MEASURE, _TIMED_PLANS = 2.0, 30.0


def plan_bar(steps, budgets):
    """Returns what a `Progress` over all ratios is planned from.

    Args:
        steps: Dict: step of pruning once -> seconds, see `plan_steps`.
        budgets: List of `PruningBudget`.
    """
    timed = any(budget.of == "latency" for budget in budgets)
    planned = {"plan": _TIMED_PLANS if timed else 0.0, "original": _MEASURE}
    for number in range(len(budgets)):
        for step, seconds in {**steps, "measure": _MEASURE}.items():
            planned[_name(number, step)] = seconds
    return planned


class RatioProgress:
    """The part of one ratio in a `Progress`: it is told like one, and says which.

    Args:
        progress: The `Progress` over all ratios.
        number: Integer, which of them, from 0.
        budgets: List of `PruningBudget`.
    """

    def __init__(self, progress, number, budgets):
        self._progress, self._number = progress, number
        # Short, as a line of a terminal has room for thirty characters.
        self._which = f"{100 * float(budgets[number].ratio):.3g}%"

    def begin(self, step, seconds=None):
        """See `Progress.begin`."""
        self._progress.begin(_name(self._number, step), seconds)

    def add(self, share):
        """See `Progress.add`."""
        self._progress.add(share)

    def show(self, label):
        """See `Progress.show`."""
        self._progress.show(f"{self._which}: {label}")

    def show_share(self, label, share):
        """See `Progress.show_share`."""
        self._progress.show_share(f"{self._which}: {label}", share)

    def note(self, text):
        """See `Progress.note`."""
        self._progress.note(f"{self._which}: {text}")


def _name(number, step):
    return f"{number} {step}"
