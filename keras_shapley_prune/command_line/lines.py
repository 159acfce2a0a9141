"""What commands print: lines that are no wider than the terminal."""

import shutil
import textwrap


def fit_lines(text):
    """Returns a text whose lines are broken between words where they are too wide.

    What is not printed to a terminal may be 80 characters wide.

    Args:
        text: String. What a line goes on with is indented deeper than it is itself.
    """
    width = max(shutil.get_terminal_size().columns, 40)
    broken = []
    for line in text.splitlines():
        if len(line) <= width:
            broken.append(line)
            continue
        # Names and numbers stay whole: they are copied, or looked for.
        start = line[: len(line) - len(line.lstrip())] + "    "
        whole = {"break_long_words": False, "break_on_hyphens": False}
        broken += textwrap.wrap(line, width, subsequent_indent=start, **whole)
    return "\n".join(broken)
