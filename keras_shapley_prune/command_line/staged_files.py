"""Files that appear all together, or not at all."""

import os
import pathlib
import shutil

from keras_shapley_prune.checkpoint.whole_files import (
    remove_unfinished,
    unfinished_beside,
)
from keras_shapley_prune.command_line.input_files import InputError


class StagedFiles:
    """Writes files beside their places, and moves them there in the end.

    Folders that a file is to be in are made. A file that is there already is replaced,
    a folder only if it is a SavedModel.

    Example:

    ```python
    with StagedFiles() as files:
        model.save(files.stage("models/pruned.keras"))
        files.commit()  # without it, or after an error, nothing is written
    ```
    """

    def __init__(self):
        self._staged = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        # What was begun, if there was an error; after `commit` there is nothing.
        for path in self._staged.values():
            _remove(path)

    def stage(self, target):
        """Returns the path to write to, for a file or folder.

        Args:
            target: String or path-like, where it is to be in the end.
        """
        target = pathlib.Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target not in self._staged:  # left by a process that was killed
            remove_unfinished(target.parent, target)
        self._staged[target] = unfinished_beside(target)
        return self._staged[target]

    def commit(self):
        """Moves what was written to its place.

        Returns:
            List of strings, the paths.
        """
        done = list(self._staged)
        for target, path in self._staged.items():
            if target.is_dir():  # cannot be replaced in one step
                # Moved away first, and removed only when the new one is in its place.
                old = path.with_name(f"{path.name}.old")
                os.replace(target, old)
                os.replace(path, target)
                _remove(old)
            else:
                os.replace(path, target)
        # Nothing is to be removed at the end.
        self._staged.clear()
        return [str(target) for target in done]


def check_targets(targets, inputs=()):
    """Raises an error if files cannot be written where they are asked for.

    Args:
        targets: List of tuples: an option, its path (or `None`), and a tuple of the
            suffixes the path may have, `None` for a folder.
        inputs: Paths of the files that are read: they are not overwritten.

    Raises:
        InputError: If a path has another suffix, is given twice or is an input, or
            is a folder of something else.
    """
    # Two spellings, or a link, may name one file.
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for option, path, suffixes in targets:
        if path is None:
            continue
        _check_kind(option, pathlib.Path(path), suffixes)
        if os.path.realpath(path) in taken:
            raise InputError(
                f"Argument `{option}` should name a file of its own, which is neither "
                f"read nor written by another option. Received: {path!r}"
            )
        taken.add(os.path.realpath(path))


def _check_kind(option, path, suffixes):
    if suffixes is not None and path.suffix not in suffixes:
        raise InputError(
            f"Argument `{option}` should end with {' or '.join(suffixes)}. "
            f"Received: {str(path)!r}"
        )
    if suffixes is not None and path.is_dir():
        raise InputError(
            f"Argument `{option}` should be a file. Received: the folder {str(path)!r}"
        )
    others = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if suffixes is None and others and not (path / "saved_model.pb").exists():
        raise InputError(
            f"Argument `{option}` should be a new or empty folder, or a SavedModel to "
            f"replace. Received: {str(path)!r}, which holds something else"
        )
    # Missing folders are made; the nearest one that exists has to be a folder.
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise InputError(
            f"Argument `{option}` should be in a folder. Received: {str(path)!r}, "
            f"where {str(parent)!r} is a file"
        )


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
