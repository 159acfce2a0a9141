"""Checks of arguments: what was expected, and what was received."""

import contextlib
import re

import numpy as np

_LONGEST = 200  # characters that a received value takes up in a message


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
            f"Received: {name}={show(value)}"
        )


def check_share(name, value, above_zero=False):
    """Raises a `ValueError` unless an argument is a number in [0, 1] (or (0, 1])."""
    if not _is_number(value) or not 0 <= value <= 1 or (above_zero and value == 0):
        interval = "(0, 1]" if above_zero else "[0, 1]"
        raise ValueError(
            f"Argument `{name}` should be a float in {interval}. "
            f"Received: {name}={show(value)}"
        )


def suggest_share(value):
    """Returns the question whether a percentage was meant for a share, or nothing.

    Args:
        value: What was given where a number of at most 1 is expected.

    Returns:
        String that ends a message: `""` unless the value may be a percentage.
    """
    # 1.5 may be anything; 2 and 50 are hardly meant for more than the whole.
    if not _is_number(value) or not 2 <= value < 100:
        return ""
    return f". Did you mean {value / 100:g}, {value:g} percent?"


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
            f"Received: {name}={show(value)}"
        )


def check_boolean(name, value):
    """Raises a `ValueError` unless an argument is `True` or `False`."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"Argument `{name}` should be True or False. Received: {name}={show(value)}"
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
            f"Received: {name}={show(value)}"
        )


def check_kind(name, value, kinds, expected):
    """Raises a `ValueError` unless an argument is of a class.

    Args:
        name: String, the argument.
        value: What was given for it.
        kinds: A class, or a tuple of them.
        expected: String, what it should be, such as `"a `PruningPlan`"`.
    """
    if not isinstance(value, kinds):
        raise ValueError(
            f"Argument `{name}` should be {expected}. "
            f"Received: {name}={show(value)} (of type {type(value)})"
        )


def read_vector(name, value, length=None, kinds="iuf"):
    """Returns an argument as an array of one axis.

    Args:
        name: String, the argument.
        value: What was given for it.
        length: Integer, how many numbers it has to hold, `None` for any number.
        kinds: String, the kinds of NumPy's types that it may have.

    Raises:
        ValueError: If it is none of numbers, or of another length.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # nested lists of different lengths
        array = np.array(None)
    fits = array.ndim == 1 and length in (None, len(array))
    if not fits or array.dtype.kind not in kinds:
        numbers = "integers" if kinds == "iu" else "numbers"
        shape = "(num_units,)" if length is None else f"({length},), as of the others"
        raise ValueError(
            f"Argument `{name}` should be an array of {numbers} of shape {shape}. "
            f"Received: {name}={show(value)}"
        )
    return array


def check_verbose(verbose):
    """Raises a `ValueError` unless `verbose` is one that rankers know."""
    # An array is none of them, and cannot be compared with all at once.
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(
            "Argument `verbose` should be 'auto', 0, 1 or 2. "
            f"Received: verbose={show(verbose)}"
        )


def check_run(verify, memory, verbose, keep_optimizer=False):
    """Raises a `ValueError` unless arguments of how a model is cut are of their form.

    Args:
        verify: See `prune`.
        memory: See `prune`.
        verbose: See `prune`.
        keep_optimizer: See `prune`.
    """
    check_boolean("verify", verify)
    check_boolean("keep_optimizer", keep_optimizer)
    if memory is not None:
        check_integer("memory", memory, 1)
    check_verbose(verbose)


@contextlib.contextmanager
def blaming(name, instead):
    """Lets an error of one argument name the one that the caller was given.

    A function that checks its `dataset` is also called for what the user has handed
    in as `validation_data`.

    Args:
        name: String, the argument of the errors raised within the context.
        instead: String, the argument of the user's call.

    Raises:
        ValueError: If one is raised within the context.
    """
    try:
        yield
    except ValueError as error:
        text = re.sub(rf"(?<=`){name}(?=[`.])", instead, str(error))
        text = re.sub(rf"(?<=Received: ){name}=", f"{instead}=", text)
        if text == str(error):
            raise
        raise ValueError(text) from error


def show(value):
    """Returns a value as a message shows it: in one line, shortened if it is long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of the user's own class
        text = f"an object of {type(value)}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _is_number(value):
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool)
