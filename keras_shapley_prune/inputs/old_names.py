"""Arguments whose old names work, with a warning, for one more release."""

import warnings


def to_new_names(function, arguments, names):
    """Returns keyword arguments by the names that they have now, a dict.

    Args:
        function: The function that is called.
        arguments: Dict: name -> value, as the user gave them.
        names: Dict: old name -> new name.

    Raises:
        TypeError: If an argument is given by both names.
    """
    found = dict(arguments)
    for old in [name for name in arguments if name in names]:
        new = names[old]
        if new in arguments:
            raise TypeError(
                f"Argument `{new}` of `{function.__name__}` should be given once. "
                f"Received: `{new}`, and `{old}`, which is its old name"
            )
        warnings.warn(
            f"Argument `{old}` of `{function.__name__}` is now named `{new}`. The old "
            "name will be removed in the release after this one",
            DeprecationWarning,
            stacklevel=3,  # behind `undisturbed`: the line that called the function
        )
        found[new] = found.pop(old)
    return found
