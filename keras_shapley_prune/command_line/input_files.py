"""What a command reads besides examples: models, rankings, modules of own layers."""

import importlib
import os
import pathlib
import sys
import warnings

import keras

from keras_shapley_prune.rank.ranking import Ranking

_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


class InputError(ValueError):
    """What the user gave cannot be used; the message says why, in one line."""


def import_modules(names):
    """Imports modules that register layers, from the working directory, too.

    Args:
        names: Sequence of strings, names of modules.

    Raises:
        InputError: If one cannot be imported.
    """
    if names and os.getcwd() not in sys.path:
        # An installed command finds modules beside itself, not in the working
        # directory.
        sys.path.insert(0, os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever the module does
            raise InputError(
                "Argument `--import` should name a module that can be imported. "
                f"Received: {name!r}, which raises {describe(error)}"
            ) from error


def load_model(path):
    """Returns the model that a file holds, compiled if it was.

    Args:
        path: String, a `.keras` or `.h5` file.

    Raises:
        InputError: If there is no such file, or Keras cannot load it.
    """
    if pathlib.Path(path).suffix not in _MODEL_SUFFIXES:
        raise InputError(
            f"A model should be a file that ends with one of {_MODEL_SUFFIXES}. "
            f"Received: {path!r}"
        )
    check_file(path, "A model")
    try:
        with warnings.catch_warnings():
            # What `prune` returns is saved with an optimizer that has no state yet.
            unused = "Skipping variable loading for optimizer"
            warnings.filterwarnings("ignore", message=unused)
            return keras.models.load_model(path)
    except Exception as error:  # of many kinds, by what the file holds
        raise InputError(
            "A model should be a file that Keras can load (`--import MODULE` makes "
            f"layers of your own known). Received: {path!r}, of which Keras says: "
            f"{describe(error)}"
        ) from error


def load_ranking(path):
    """Returns the `Ranking` that a file holds, or `None` for `None`.

    Args:
        path: String or `None`.

    Raises:
        InputError: If there is no such file.
        ValueError: If it holds something else.
    """
    if path is None:
        return None
    check_file(path, "Argument `--ranking`")
    try:
        return Ranking.load(path)
    except (ValueError, KeyError) as error:
        raise InputError(
            "Argument `--ranking` should name a file that the command `rank` wrote. "
            f"Received: {path!r}"
        ) from error


def check_file(path, subject):
    """Raises an `InputError` unless there is a file.

    Args:
        path: String.
        subject: String, what should name it.
    """
    if not os.path.isfile(path):
        raise InputError(f"{subject} should be a file that exists. Received: {path!r}")


def describe(error, most=400):
    """Returns an exception as one line.

    Args:
        error: An exception.
        most: Integer, its longest length.
    """
    # Errors of Keras and TensorFlow may run over many lines.
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= most else f"{line[: most - 1]}…"
