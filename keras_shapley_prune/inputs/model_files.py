"""Loads models that were saved by older versions of Keras, or with unknown losses."""

import json
import os
import pathlib
import warnings
from collections.abc import Mapping

import keras

from keras_shapley_prune.inputs.arguments import check_kind
from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.h5_files import in_todays_form, read_settings
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.inputs.paths import check_path, check_source
from keras_shapley_prune.inputs.undisturbed import undisturbed

SUFFIXES = (".keras", ".h5", ".hdf5")

# Keras resolves these by the shape of the outputs, not by name.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")
_SHORT = ("mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE")


@undisturbed
def load_model(path, custom_objects=None):
    """Loads a model that is to be pruned, which takes less than to train it.

    Like `keras.models.load_model`, with two differences. If the loss, a metric or the
    optimizer is not known, the model is loaded without them, and a `UserWarning` says
    so: pruning needs none of them. And `.h5` files of Keras 2 (tf.keras) load that
    Keras 3 refuses for settings of layers that it no longer has, such as the `groups`
    of a `DepthwiseConv2D`, or for models within models.

    Args:
        path: String or path-like, a `.keras` or `.h5` file.
        custom_objects: Dict: name -> class or function that the model is made of.

    Returns:
        A `keras.Model`, compiled if it was and can be.

    Raises:
        ValueError: If there is no such file, or Keras cannot load the model itself.

    Example:

    ```python
    model.save("model.keras")
    model = keras_shapley_prune.load_model("model.keras")
    pruned = keras_shapley_prune.prune(model, images)
    ```
    """
    _check_arguments(path, custom_objects)
    try:
        return _load(path, dict(custom_objects or {}))
    except Exception as error:  # of many kinds, by what the file holds
        raise ValueError(
            "Argument `path` should name a file that Keras can load. Received: "
            f"path={os.fspath(path)!r}, of which Keras says: {describe(error)}"
        ) from error


def _check_arguments(path, custom_objects):
    if custom_objects is not None:
        expected = "a dict: name -> class or function, or None"
        check_kind("custom_objects", custom_objects, Mapping, expected)
    check_path(path)
    if pathlib.Path(path).suffix not in SUFFIXES:
        raise ValueError(
            f"Argument `path` should end with one of {SUFFIXES}. "
            f"Received: path={os.fspath(path)!r}"
        )
    # Keras reads from other places, too, and folders into which it has saved.
    elsewhere = "://" in str(path) or (pathlib.Path(path) / "config.json").exists()
    if not elsewhere:
        check_source(path)


def _load(path, objects):
    """Returns the model of a file, or raises whatever Keras raises."""
    training = read_settings(path, "training_config")
    if training is not None:
        # Of an `.h5` file, Keras itself does not find what these stand for.
        objects = {name: keras.losses.get(name) for name in _SHORT} | objects
    if str(read_settings(path, "keras_version")).startswith("2"):
        _check_functions(read_settings(path, "model_config"))
    with in_todays_form(path) as readable:
        try:
            model = keras.models.load_model(readable, objects)
            with keras.saving.custom_object_scope(objects):
                _check_names(compile_arguments(model) if model.compiled else {})
            return model
        except Exception as error:  # of many kinds, by what the file holds
            cause = _find_cause(error, training, objects)
        # If that fails too, it is not for what the model was compiled with.
        model = keras.models.load_model(readable, objects, compile=False)
    warnings.warn(
        f"Model {model.name!r} is loaded without what it was compiled with, which "
        "Keras cannot load. The result is not compiled, and its metrics cannot be "
        f"measured. Keras says: {describe(cause)}",
        stacklevel=4,
    )
    return model


def _check_functions(config, stacklevel=5):
    """Warns if a model of Keras 2 has a function that is another one in Keras 3."""
    if '"hard_sigmoid"' in json.dumps(config):
        warnings.warn(
            "The file is of Keras 2, whose `hard_sigmoid` is max(0, min(1, x / 5 + "
            "0.5)); in Keras 3 it is max(0, min(1, x / 6 + 0.5)). The model's outputs "
            "will differ from those it had",
            stacklevel=stacklevel,
        )


def _find_cause(error, training, objects):
    """Returns why a model could not be compiled, rather than what failed then.

    Args:
        error: What Keras has raised.
        training: Dict, the settings of an `.h5` file, or `None`.
        objects: Dict, the custom objects.
    """
    try:
        with keras.saving.custom_object_scope(objects):
            _check_names(training or {})
    except ValueError as unknown:
        return unknown
    return error


def _check_names(settings):
    """Raises a `ValueError` if a loss or metric has a name that Keras does not know.

    From `.h5` files they come as they are, and would fail when they are first used.

    Args:
        settings: Dict, arguments of `compile`, or what a file has of them.
    """
    for argument in ("loss", "metrics", "weighted_metrics"):
        get = keras.losses.get if argument == "loss" else keras.metrics.get
        for name in _names_in(settings.get(argument)):
            if name not in _BY_SHAPE:
                get(name)


def _names_in(entry):
    """Yields the names in nested losses or metrics; objects have a class, no name."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, (list, tuple)):
        for inner in entry:
            yield from _names_in(inner)
    elif isinstance(entry, dict) and "class_name" not in entry:
        yield from _names_in(list(entry.values()))
