"""Reads the JSON files that the package has written."""

import json


def load_json(path, kind, writer="save"):
    """Returns the content of a file that `save` of a class wrote.

    Args:
        path: String or path-like.
        kind: String, the name of the class: the file has to say so.
        writer: String, the name of its method that writes such files.

    Returns:
        Dict.

    Raises:
        ValueError: If the file holds something else.
    """
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    if not isinstance(content, dict) or content.get("format") != format_of(kind):
        raise ValueError(
            f"Argument `path` should name a file that `{kind}.{writer}` wrote. "
            f"Received: path={str(path)!r}"
        )
    return content


def format_of(kind):
    """Returns what a file says that it holds."""
    return f"keras_shapley_prune.{kind}"
