"""What an error of a user's code says, in one line."""

import re


def first_line(error):
    """Returns what an error says, without what Keras puts around it."""
    # Neither colours nor TensorFlow's places, such as {{function_node ...}}.
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\} ?", "", str(error))
    # Where Keras infers a shape, what went wrong stands behind what it should be.
    lines = text.split("Error encountered:")[-1].splitlines()
    wrapped = "Exception encountered when calling"
    said = [line for line in lines if line.strip() and not line.startswith(wrapped)]
    return said[0].strip() if said else type(error).__name__
