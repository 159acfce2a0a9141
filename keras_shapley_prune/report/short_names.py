"""Names as short as pictures and pages need them."""

import re

_WORD = re.compile(r".*?[/_.]")


def drop_prefix(names):
    """Returns names without the words that all of them begin with.

    Args:
        names: Sequence of strings.

    Returns:
        Tuple of a string, what was dropped, such as `"backbone/"` (empty if nothing
        was), and a dict: name -> what remains of it, which begins with a letter.
    """
    names = list(dict.fromkeys(names))
    prefix, rest = "", names
    while len(names) > 1 and (word := _WORD.match(rest[0])):
        shorter = [name.removeprefix(word.group()) for name in rest]
        # A number alone, as in "conv_1" and "conv_2", says nothing.
        if not all(
            name.startswith(word.group()) and left[:1].isalpha()
            for name, left in zip(rest, shorter, strict=True)
        ):
            break
        prefix, rest = prefix + word.group(), shorter
    return prefix, dict(zip(names, rest, strict=True))
