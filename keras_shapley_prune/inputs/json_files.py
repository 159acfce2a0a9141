"""Reads the JSON files that the package has written."""

import json
import os

from keras_shapley_prune.inputs.json_fields import Fields
from keras_shapley_prune.inputs.paths import check_path


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
