"""Checks of the arguments of rankers."""

import numpy as np


def check_integer(name, value, least):
    """Raises a `ValueError` unless an argument is an integer of at least `least`."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"Argument `{name}` should be an integer, at least {least}. "
            f"Received: {name}={value!r}"
        )


def check_share(name, value, above_zero=False):
    """Raises a `ValueError` unless an argument is a number in [0, 1] (or (0, 1])."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1 or (above_zero and value == 0):
        interval = "(0, 1]" if above_zero else "[0, 1]"
        raise ValueError(
            f"Argument `{name}` should be a float in {interval}. "
            f"Received: {name}={value!r}"
        )


def check_at_least(name, value, least, excluded=False):
    """Raises a `ValueError` unless an argument is a number of at least `least`."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or value < least or (excluded and value == least):
        bound = f"above {least}" if excluded else f"of at least {least}"
        raise ValueError(
            f"Argument `{name}` should be a number {bound} or None. "
            f"Received: {name}={value!r}"
        )


def check_choice(name, value, choices):
    """Raises a `ValueError` unless an argument is one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"Argument `{name}` should be one of {choices}. Received: {name}={value!r}"
        )


def check_combination(
    estimator, stages, window, candidates, horizon, replacement, reduction, value
):
    """Raises a `ValueError` where arguments of `ShapleyRanker` exclude each other."""
    reconstruction = isinstance(value, str) and value == "reconstruction"
    wrong = None
    if reconstruction and estimator != "permutation":
        wrong = f"value='reconstruction' and estimator={estimator!r}"
    elif reconstruction and (replacement != "zero" or reduction != "mean"):
        wrong = (
            f"value='reconstruction', replacement={replacement!r} and "
            f"reduction={reduction!r}: removed units are made up for by refitting"
        )
    elif reconstruction and window != 1:
        wrong = f"value='reconstruction' and window={window!r}: give `candidates`"
    elif not reconstruction and candidates is not None:
        wrong = f"value={value!r} and candidates={candidates!r}: give `window`"
    elif horizon != 1 and candidates is None:
        wrong = f"horizon={horizon!r} and candidates=None"
    elif estimator == "corrected_gradient" and (
        stages != 1 or window != 1 or reduction != "mean"
    ):
        wrong = (
            f"estimator='corrected_gradient', stages={stages!r}, window={window!r} "
            f"and reduction={reduction!r}"
        )
    elif estimator == "exact" and (stages != 1 or window != 1):
        wrong = f"estimator='exact', stages={stages!r} and window={window!r}"
    elif estimator == "shared_permutation" and reduction != "mean":
        wrong = f"estimator='shared_permutation' and reduction={reduction!r}"
    if wrong:
        raise ValueError(f"Expected arguments that go together. Received: {wrong}")
