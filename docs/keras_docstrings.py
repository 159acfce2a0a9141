"""A Griffe extension: docstrings in the style of Keras, as Markdown.

Griffe's parser of Google's style, the nearest, takes what comes before a colon for a
type: of "A `Ranking`: print it" or "Dict: name -> score" it would tear the sentence.
"""

import re
import textwrap

import griffe

LISTS = ("Args", "Attributes", "Raises")
TEXTS = ("Returns", "Input shape", "Output shape", "Example")
HEADING = re.compile(rf"^({'|'.join(LISTS + TEXTS)}):$", re.MULTILINE)
ENTRY = re.compile(r"^(\*{0,2}\w+): ", re.MULTILINE)


class KerasDocstrings(griffe.Extension):
    """Rewrites each docstring as it is loaded."""

    def on_instance(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(docstring):
    """Returns a docstring with bold headings, and with lists of the arguments.

    Args:
        docstring: String, not indented.
    """
    introduction, *sections = HEADING.split(docstring)
    parts = [introduction.strip()]
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        body = textwrap.dedent(body.strip("\n")).rstrip()
        if name in LISTS:  # what an entry goes on with is indented already
            body = ENTRY.sub(r"- **`\1`**: ", body)
        parts += [f"**{name}**", body]
    return "\n\n".join(parts)
