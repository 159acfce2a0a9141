"""Loads models that were saved by older versions of Keras, or with unknown losses."""

import warnings

import keras

from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.keras2_files import without_old_settings
from keras_shapley_prune.inputs.one_line import describe

# Keras resolves these by the shape of the outputs, not by name.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def load_model(path, custom_objects=None):
    """Loads a model that is to be pruned, which takes less than to train it.

    Like `keras.models.load_model`, with two differences. If the loss, a metric or the
    optimizer is not known, the model is loaded without them, and a `UserWarning` says
    so: pruning needs none of them. And `.h5` files of Keras 2 (tf.keras) load, of
    whose layers Keras 3 refuses settings that it no longer has.

    Args:
        path: String or path-like, a `.keras` or `.h5` file.
        custom_objects: Dict: name -> class or function that the model is made of.

    Returns:
        A `keras.Model`, compiled if it was and can be.

    Raises:
        ValueError: Or another error of Keras, if the model itself cannot be loaded.

    Example:

    ```python
    model.save("model.keras")
    model = keras_shapley_prune.load_model("model.keras")
    pruned = keras_shapley_prune.prune(model, images)
    ```
    """
    with without_old_settings(path) as readable:
        try:
            model = keras.models.load_model(readable, custom_objects)
            with keras.saving.custom_object_scope(custom_objects or {}):
                _check_compiled(model)
            return model
        except Exception as error:  # of many kinds, by what the file holds
            cause = error
        # If that fails too, it is not for what the model was compiled with.
        model = keras.models.load_model(readable, custom_objects, compile=False)
    warnings.warn(
        f"Model {model.name!r} is loaded without what it was compiled with, which "
        "Keras cannot load. The result is not compiled, and its metrics cannot be "
        f"measured. Keras says: {describe(cause)}",
        stacklevel=2,
    )
    return model


def _check_compiled(model):
    """Raises an error if a model is compiled with a name that Keras does not know.

    From `.h5` files they come as they are, and would fail when they are first used.
    """
    arguments = compile_arguments(model) if model.compiled else {}
    for argument in ("loss", "metrics", "weighted_metrics"):
        for entry in keras.tree.flatten(arguments.get(argument)):
            if isinstance(entry, str) and entry not in _BY_SHAPE:
                get = keras.losses.get if argument == "loss" else keras.metrics.get
                get(entry)
