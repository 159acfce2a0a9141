"""Models that users hand in: that there is a graph of layers."""

import warnings

import keras

from keras_shapley_prune.inputs.arguments import check_kind


def check_backend():
    """Raises an error unless Keras runs on the TensorFlow backend.

    Raises:
        RuntimeError: If another backend is active.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            "keras_shapley_prune runs on the TensorFlow backend of Keras. Set the "
            "environment variable KERAS_BACKEND=tensorflow before importing keras. "
            f"Received: keras.backend.backend()={backend!r}"
        )


def check_model(model, name="model"):
    """Raises an error unless a model has a graph of layers.

    Args:
        model: Anything.
        name: String, the argument that it is given for.

    Raises:
        RuntimeError: If Keras does not run on TensorFlow.
        ValueError: If it is no Keras model, not built, or subclassed.
    """
    check_backend()
    expected = "a built Sequential or functional `keras.Model`"
    check_kind(name, model, keras.Model, expected)
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        kind = "an unbuilt" if isinstance(model, keras.Sequential) else "a subclassed"
        raise ValueError(
            f"Argument `{name}` should be {expected}"
            ": pruning reads its graph of layers. A Sequential model "
            "gets one from `keras.Input` as its first layer or from "
            "`model.build(input_shape)`; a subclassed model has none, but "
            "`keras_shapley_prune.to_functional(model)` may make one. "
            f"Received: {kind} model named {model.name!r} (of type {type(model)})"
        )


def warn_of_order(original, pruned, names, stacklevel):
    """Warns if the one of two models that should be smaller is the larger one.

    Args:
        original: A `keras.Model`.
        pruned: The one that was made of it.
        names: String, what the arguments are named, in their order.
        stacklevel: Integer, see `warnings.warn`: 1 for the line that calls this.
    """
    before, after = original.count_params(), pruned.count_params()
    if before < after:
        warnings.warn(
            f"Arguments {names} should be the original and the pruned model, each in "
            f"its place: the latter is trained. Received: an original of {before:,} "
            f"parameters, which are fewer than the {after:,} of the pruned model",
            stacklevel=stacklevel + 1,
        )
