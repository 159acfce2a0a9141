"""What selects layers: names, shell-style patterns, regular expressions, functions."""

import fnmatch
import re

import keras
import numpy as np

from keras_shapley_prune.inputs.arguments import show


def check_patterns(name, value):
    """Raises a `ValueError` unless an argument is what selects layers, or several.

    Args:
        name: String, the argument.
        value: What was given for it. `None` stands for none and is right.
    """
    if value is None or is_expression(value) or is_function(value):
        return
    entries = [value] if isinstance(value, str) else value
    # What can be read only once would be empty when the groups are looked for again.
    if isinstance(entries, (list, tuple, set, frozenset)) and all(
        isinstance(entry, str) or is_expression(entry) or is_function(entry)
        for entry in entries
    ):
        return
    raise ValueError(
        f"Argument `{name}` should be a layer name, a shell-style pattern such as "
        "'block2_*', a compiled regular expression of text, a function of a layer, a "
        f"list of them, or None. Received: {name}={show(value)}"
    )


def is_expression(pattern):
    """Returns whether a pattern is a compiled regular expression of text."""
    return isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str)


def is_function(pattern):
    """Returns whether a pattern is a function of a layer.

    A layer and a class can be called as well, but say nothing of other layers.
    """
    return callable(pattern) and not isinstance(pattern, (type, keras.Operation))


def as_list(patterns):
    """Returns a pattern, or several, as a list.

    Args:
        patterns: A pattern, or a list, tuple or set of them.
    """
    several = isinstance(patterns, (list, tuple, set, frozenset))
    return list(patterns) if several else [patterns]


def find_names(pattern, names, operations, argument="layers"):
    """Returns those of some names of layers that a pattern selects, a list.

    Args:
        pattern: String, a compiled regular expression that is searched for in the
            names, or a callable `fn(layer)` that returns whether it selects a layer.
        names: Sequence of strings.
        operations: Dict: name -> layer, of these names and of others that are no
            patterns either.
        argument: String, the argument that it was given as, for errors.

    Raises:
        ValueError: If the callable raises, or returns neither `True` nor `False`.
    """
    if is_expression(pattern):
        return [name for name in names if pattern.search(name)]
    if is_function(pattern):
        return [n for n in names if _ask(pattern, n, operations[n], argument)]
    if pattern in operations:
        return [name for name in names if name == pattern]
    return fnmatch.filter(names, pattern)


def _ask(function, name, layer, argument):
    """Returns what a function says of a layer."""
    expected = (
        f"Argument `{argument}` should be a function that returns True or False for "
        f"every layer with removable units. Received: {show(function)}, which"
    )
    try:
        answer = function(layer)
    except Exception as error:  # of the user's own code
        raise ValueError(
            f"{expected} raises {type(error).__name__} for layer {name!r}: {error}"
        ) from error
    # `None`, of a function that forgets to return, would select nothing in silence.
    if not isinstance(answer, (bool, np.bool_)):
        raise ValueError(f"{expected} returns {show(answer)} for layer {name!r}")
    return answer
