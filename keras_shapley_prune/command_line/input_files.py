"""What a command reads besides examples: models, rankings, modules of own layers."""

import importlib
import os
import pathlib
import sys
import warnings

from keras_shapley_prune.inputs import model_files
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.rank.ranking import Ranking

_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
# What a module takes from these is no part of a model of one's own.
_LIBRARIES = {"keras", "tensorflow", "tf_keras", "numpy", *sys.stdlib_module_names}


class InputError(ValueError):
    """What the user gave cannot be used; the message says why, in one line."""


def import_modules(names):
    """Imports modules of layers, losses and the like, from the working directory, too.

    Args:
        names: Sequence of strings, names of modules.

    Returns:
        Dict: name -> class or function in one of them, for
        `keras.saving.custom_object_scope`.

    Raises:
        InputError: If one cannot be imported.
    """
    if names and os.getcwd() not in sys.path:
        # An installed command finds modules beside itself, not in the working
        # directory.
        sys.path.insert(0, os.getcwd())
    found = {}
    for name in names:
        try:
            found.update(_own_objects(importlib.import_module(name)))
        except Exception as error:  # whatever the module does
            raise InputError(
                "Argument `--import` should name a module that can be imported. "
                f"Received: {name!r}, which raises {describe(error)}"
            ) from error
    return found


def _own_objects(module):
    """Returns a dict: name -> class or function of a module that no library has."""
    found = {}
    for name, value in vars(module).items():
        package = (getattr(value, "__module__", None) or "").split(".")[0]
        if callable(value) and package not in _LIBRARIES and not name.startswith("__"):
            found[name] = value
    return found


def load_model(path):
    """Returns the model that a file holds, compiled if it was and can be.

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
            return model_files.load_model(path)
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
    except ValueError as error:
        raise InputError(
            "Argument `--ranking` should name a file that the command `rank` wrote. "
            f"{describe(error)}"
        ) from error


def check_file(path, subject):
    """Raises an `InputError` unless there is a file.

    Args:
        path: String.
        subject: String, what should name it.
    """
    if not os.path.isfile(path):
        raise InputError(f"{subject} should be a file that exists. Received: {path!r}")
