"""What commands print: lines that are no wider than the terminal."""

import contextlib
import shutil
import sys
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


class _FittedStream:
    """A stream to which lines are written that fit, see `fit_lines`.

    Args:
        stream: The stream. Bars, which move about in their line, go to it as they are.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        """Writes a text, see `io.TextIOBase`."""
        if not text.replace("\n", "").isprintable():  # of a bar
            return self._stream.write(text)
        end = "\n" if text.endswith("\n") else ""
        return self._stream.write(fit_lines(text) + end)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def progress():
    """Sends what is printed meanwhile to standard error."""
    return contextlib.redirect_stdout(_FittedStream(sys.stderr))
