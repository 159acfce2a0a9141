"""JSON files that the package writes, and reads again."""

import json
import os

from keras_shapley_prune.inputs.json_fields import Fields
from keras_shapley_prune.inputs.paths import check_path, open_to_write


def save_json(path, kind, content, by_entry=False):
    """Writes what `load_json` reads.

    Args:
        path: String or path-like.
        kind: String, the name of the class that is written.
        content: Dict, of what JSON can hold.
        by_entry: Boolean, whether each entry of the dict stands on one line, however
            long; else every number has a line.

    Raises:
        ValueError: If there cannot be such a file.
    """
    content = {"format": format_of(kind), **content}
    if by_entry:
        lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in content.items())
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = json.dumps(content, indent=1)
    with open_to_write(path) as file:
        file.write(text)


def load_json(path, kind, writer="save"):
    """Returns the content of a file that `save` of a class wrote.

    Args:
        path: String or path-like.
        kind: String, the name of the class: the file has to say so.
        writer: String, the name of its method that writes such files.

    Returns:
        `Fields`, which check what is read of them.

    Raises:
        ValueError: If there is no such file, it cannot be read, or it holds something
            else.
    """
    check_path(path)
    expected = f"Argument `path` should name a file that `{kind}.{writer}` wrote"
    received = f"Received: path={os.fspath(path)!r}"
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise ValueError(f"{expected}. {received}, which does not exist") from None
    except OSError as error:
        raise ValueError(f"{expected}. {received}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        # `json` says at which line and column; other bytes are no text at all.
        why = str(error) if isinstance(error, json.JSONDecodeError) else "no text"
        raise ValueError(f"{expected}. {received}, which is no JSON: {why}") from error
    if not isinstance(content, dict) or content.get("format") != format_of(kind):
        raise ValueError(f"{expected}. {received}, which holds something else")
    return Fields(content, expected, received)


def format_of(kind):
    """Returns what a file says that it holds."""
    return f"keras_shapley_prune.{kind}"
