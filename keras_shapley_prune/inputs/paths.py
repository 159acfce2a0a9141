"""Paths of files that are read, and of files that are to be written."""

import contextlib
import os
import pathlib

from keras_shapley_prune.inputs.arguments import show


def check_path(path, name="path"):
    """Raises a `ValueError` unless an argument is a path.

    Args:
        path: What was given.
        name: String, the argument.
    """
    is_path = isinstance(path, (str, os.PathLike)) and os.fspath(path)
    if not is_path or "\0" in str(os.fspath(path)):
        raise ValueError(
            f"Argument `{name}` should be a string or path-like, the path of a file. "
            f"Received: {name}={show(path)}"
        )


def check_source(path, name="path"):
    """Raises a `ValueError` unless an argument is the path of a file that exists.

    Args:
        path: What was given.
        name: String, the argument.
    """
    check_path(path, name)
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "which does not exist"
        raise ValueError(
            f"Argument `{name}` should be a file that exists. "
            f"Received: {name}={os.fspath(path)!r}, {what}"
        )


def check_target(path, name="path", make_folders=True):
    """Raises a `ValueError` unless a file can be written at a path.

    Nothing is written: it is for functions that write after long work.

    Args:
        path: What was given.
        name: String, the argument.
        make_folders: Boolean, whether folders that do not exist will be made.
    """
    check_path(path, name)
    why = find_obstacle(pathlib.Path(path), make_folders)
    if why is not None:
        raise ValueError(
            f"Argument `{name}` should be the path of a file that can be written. "
            f"Received: {name}={os.fspath(path)!r}, {why}"
        )


def check_folder(path, name="path"):
    """Raises a `ValueError` unless a folder is at a path, or can be made there.

    Args:
        path: What was given.
        name: String, the argument.
    """
    check_path(path, name)
    # A file within it: then it may be a folder itself, and may not be a file.
    why = find_obstacle(pathlib.Path(path) / "file")
    if why is not None:
        raise ValueError(
            f"Argument `{name}` should be the path of a folder to write to. "
            f"Received: {name}={os.fspath(path)!r}, {why}"
        )


def find_obstacle(path, make_folders=True):
    """Returns why a file cannot be written, `None` if nothing speaks against it.

    Args:
        path: A `pathlib.Path`.
        make_folders: Boolean, whether folders that do not exist will be made.
    """
    if path.is_dir():
        return "which is a folder"
    folder = path.absolute().parent
    if not make_folders and not folder.exists():
        return f"where there is no folder {str(folder)!r}"
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"where {str(folder)!r} is a file"
    # To replace a file, its folder has to be writable, and not the file.
    if not os.access(folder, os.W_OK | os.X_OK) or _is_virtual(folder):
        return f"where {str(folder)!r} is not writable"
    return None


@contextlib.contextmanager
def open_to_write(path):
    """Opens a text file to write, within a context.

    Args:
        path: String or path-like.

    Raises:
        ValueError: If there cannot be such a file.
    """
    check_path(path)
    try:
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115, it is closed below
    except OSError as error:
        raise ValueError(
            "Argument `path` should name a file that can be written. Received: "
            f"path={os.fspath(path)!r}: {error.strerror}"
        ) from error
    with file:
        yield file


def _is_virtual(folder):
    # For an administrator every folder is writable, but no file can be made in these.
    return folder.parts[:2] in (("/", "proc"), ("/", "sys"))
