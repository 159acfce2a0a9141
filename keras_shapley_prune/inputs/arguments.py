"""Checks of arguments: what was expected, and what was received."""

import numpy as np


def check_integer(name, value, least):
    """Raises a `ValueError` unless an argument is an integer of at least `least`.

    `True` is an instance of `int` in Python, but no integer here.

    Args:
        name: String, the argument.
        value: What was given for it.
        least: Integer.
    """
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not number or value < least:
        raise ValueError(
            f"Argument `{name}` should be an integer, at least {least}. "
            f"Received: {name}={value!r}"
        )


def check_share(name, value, above_zero=False):
    """Raises a `ValueError` unless an argument is a number in [0, 1] (or (0, 1])."""
    if not _is_number(value) or not 0 <= value <= 1 or (above_zero and value == 0):
        interval = "(0, 1]" if above_zero else "[0, 1]"
        raise ValueError(
            f"Argument `{name}` should be a float in {interval}. "
            f"Received: {name}={value!r}"
        )


def check_at_least(name, value, least, excluded=False):
    """Raises a `ValueError` unless an argument is a number of at least `least`.

    Args:
        name: String, the argument.
        value: What was given for it.
        least: Number.
        excluded: Boolean, whether `least` itself is too small.
    """
    # `not least <= value < inf` also refuses NaN.
    fits = _is_number(value) and least <= value < float("inf")
    if not fits or (excluded and value == least):
        bound = f"above {least}" if excluded else f"of at least {least}"
        raise ValueError(
            f"Argument `{name}` should be a number {bound} or None. "
            f"Received: {name}={value!r}"
        )


def check_boolean(name, value):
    """Raises a `ValueError` unless an argument is `True` or `False`."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"Argument `{name}` should be True or False. Received: {name}={value!r}"
        )


def check_choice(name, value, choices):
    """Raises a `ValueError` unless an argument is one of `choices`.

    Args:
        name: String, the argument.
        value: What was given for it.
        choices: Iterable of strings.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"Argument `{name}` should be one of {list(choices)}. "
            f"Received: {name}={value!r}"
        )


def check_verbose(verbose):
    """Raises a `ValueError` unless `verbose` is one that rankers know."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(
            "Argument `verbose` should be 'auto', 0, 1 or 2. "
            f"Received: verbose={verbose!r}"
        )


def _is_number(value):
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool)
