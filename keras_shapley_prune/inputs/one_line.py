"""Errors of other libraries, and of a user's code, in one line that names the cause."""

import re

# What Keras writes before the error that made it raise another, and around it.
_CAUSE = "Exception encountered: "
_SHORT = 80  # characters that a dict of settings may have


def describe(error, most=400):
    """Returns an exception as one line.

    Errors of Keras and TensorFlow may run over many lines, and hold the settings of a
    whole model. Of a long one the settings are removed first. What is then still too
    long is shortened to its beginning and its end, where the cause stands.

    Args:
        error: An exception.
        most: Integer, its longest length.
    """
    line = " ".join(str(error).split()) or type(error).__name__
    if len(line) <= most:
        return line
    line = _without_settings(line)
    if len(line) > most and _CAUSE in line:  # an error of one of several parts
        line = line.rpartition(_CAUSE)[-1]
    if len(line) <= most:
        return line
    head = most // 3
    return f"{line[:head].rstrip()} … {line[head + 3 - most :].lstrip()}"


def first_line(error):
    """Returns the line of an error that says what happened, to quote it in a reason.

    Args:
        error: An exception of a layer's own code, with what Keras puts around it.
    """
    # Neither colours nor TensorFlow's places, such as {{function_node ...}}.
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\} ?", "", str(error))
    # Where Keras infers a shape, what went wrong stands behind what it should be.
    lines = text.split("Error encountered:")[-1].splitlines()
    wrapped = "Exception encountered when calling"
    said = [line for line in lines if line.strip() and not line.startswith(wrapped)]
    return said[0].strip() if said else type(error).__name__


def _without_settings(line):
    """Returns a text with `{…}` in the place of each long dict."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(line):
        if character == "{":
            if depth == 0:
                parts.append(line[start:position])
                start = position
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                braced = line[start : position + 1]
                parts.append(braced if len(braced) <= _SHORT else "{…}")
                start = position + 1
    # A dict that does not end: there is a brace in a string, or the text was cut.
    return "".join([*parts, line[start:]])
