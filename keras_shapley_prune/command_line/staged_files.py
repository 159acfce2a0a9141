"""Files that appear all together, or not at all."""

import os
import pathlib
import shutil

from keras_shapley_prune.checkpoint.whole_files import (
    remove_unfinished,
    unfinished_beside,
)
from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.inputs.paths import find_obstacle


class StagedFiles:
    """Writes files beside their places, and moves them there in the end.

    Folders that a file is to be in are made. A file that is there already is replaced,
    a folder only if it is a SavedModel. What a killed process has left there is removed
    by the next command that writes to the same place, see `check_targets`.

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

    If they can, what a process that was killed has left there is removed.

    Args:
        targets: List of tuples: an option, its path (or `None`), and a tuple of the
            suffixes the path may have, `None` for a folder.
        inputs: Paths of the files that are read: they are not overwritten.

    Raises:
        InputError: If a path has another suffix, is given twice or is an input, is a
            folder of something else, or its folder is not writable.
    """
    # Two spellings, or a link, may name one file.
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for option, path, suffixes in targets:
        if path is None:
            continue
        if not path or "\0" in path:
            raise InputError(
                f"Argument `{option}` should be the path of a file. Received: {path!r}"
            )
        _check_kind(option, pathlib.Path(path), suffixes)
        if os.path.realpath(path) in taken:
            raise InputError(
                f"Argument `{option}` should name a file of its own, which is neither "
                f"read nor written by another option. Received: {path!r}"
            )
        taken.add(os.path.realpath(path))
    for path in (pathlib.Path(path) for _, path, _ in targets if path is not None):
        remove_unfinished(path.parent, path)


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
    # Missing folders are made. A folder is written as a file beside it would be.
    why = find_obstacle(path if suffixes is not None else path / "file")
    if why is not None:
        raise InputError(
            f"Argument `{option}` should be where a file can be written. Received: "
            f"{str(path)!r}, {why}"
        )


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
