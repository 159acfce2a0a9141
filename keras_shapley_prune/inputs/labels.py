"""Labels that a loss can take: found out before any long work."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.one_line import describe

_LARGEST = 2**20  # numbers in an output that is tried


def check_labels_fit(labels, names, losses, outputs):
    """Raises a `ValueError` unless losses can be computed of labels.

    TensorFlow raises an error of its own for a class that there is not, after the work
    that came before it, and on some devices returns NaN.

    Args:
        labels: What `model.fit` takes as `y`, of a batch or of all examples.
        names: List of strings, the names of the model's outputs.
        losses: List of a loss (a `keras.losses.Loss` or a function) or `None` for each
            output.
        outputs: List of the symbolic outputs.

    Raises:
        ValueError: If they are not one for each output, no numbers, of another shape,
            or of classes that there are not.
    """
    aligned = _align(labels, names)
    for name, value, loss, tensor in zip(names, aligned, losses, outputs, strict=True):
        if loss is None or value is None:
            continue
        value = _as_numbers(value, name)
        if _is_of_classes(loss):
            _check_classes(value, name, loss, tuple(tensor.shape))
        if _is_stock(loss):
            _try(loss, value, name, tuple(tensor.shape))


def _align(labels, names):
    """Returns the labels of each output, whatever structure they come in."""
    if isinstance(labels, dict):
        unknown = [key for key in labels if key not in names]
        if unknown:
            raise ValueError(
                "Argument `dataset` should give labels by the names of the outputs, "
                f"{names}. Received: labels of {unknown}"
            )
        return [labels.get(name) for name in names]
    flat = list(labels) if isinstance(labels, (list, tuple)) else [labels]
    if len(flat) != len(names):
        raise ValueError(
            f"Argument `dataset` should give labels for each of the outputs {names}. "
            f"Received: {len(flat)} entries"
        )
    return flat


def _as_numbers(value, name):
    array = np.asarray(value)
    kind = array.dtype.kind
    if kind in "biuf" or "float" in array.dtype.name:  # bfloat16 is of another kind
        return array
    raise ValueError(
        f"Argument `dataset` should give numbers as labels of output {name!r}. "
        f"Received: labels of dtype {array.dtype}"
    )


def _is_stock(loss):
    """Returns whether a loss is Keras's own: one of the user's is not tried."""
    kind = loss if not isinstance(loss, keras.losses.Loss) else type(loss)
    return (getattr(kind, "__module__", None) or "").startswith("keras.")


def _is_of_classes(loss):
    """Returns whether labels are numbers of classes along the last axis."""
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        return loss.get_config().get("axis", -1) == -1
    return loss is keras.losses.sparse_categorical_crossentropy


def _check_classes(labels, name, loss, shape):
    num_classes, expected = shape[-1], (*labels.shape[:1], *shape[1:-1])
    if labels.shape[-1:] == (1,) and labels.ndim == len(shape):
        labels = labels[..., 0]
    fits = len(labels.shape) == len(expected) and all(
        wanted in (None, size)
        for size, wanted in zip(labels.shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"Argument `dataset` should give, for output {name!r} and a sparse loss, "
            f"numbers of classes in batches of shape {(None, *shape[1:-1])}. Received: "
            f"shape {labels.shape} (one-hot labels need 'categorical_crossentropy')"
        )
    ignored = getattr(loss, "ignore_class", None)
    wrong = (labels != np.floor(labels)) | (labels < 0) | (labels >= num_classes)
    if ignored is not None:
        wrong &= labels != ignored
    if wrong.any():
        found = np.unique(labels[wrong])[:5].tolist()
        raise ValueError(
            f"Argument `dataset` should give classes from 0 to {num_classes - 1} as "
            f"labels of output {name!r}, which has {num_classes}. Received: labels "
            f"such as {', '.join(map(str, found))}"
        )


def _try(loss, labels, name, shape):
    """Computes a loss of a few examples, for outputs that are all zero."""
    if None in shape[1:] or not len(labels) or math.prod(shape[1:]) > _LARGEST:
        return
    # A number of them that is no other size: labels of another shape would broadcast.
    count = next(number for number in (2, 3, 5, 7, 11, 13) if number not in shape)
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    some = tf.cast(np.resize(labels, (count, *labels.shape[1:])), tf.float32)
    # Where one of them lacks a last axis of length 1, Keras adds it.
    if len(some.shape) == len(shape) - 1 and shape[-1] == 1:
        some = some[..., tf.newaxis]
    try:
        function(some, tf.zeros((count, *shape[1:])))
    except Exception as error:  # of many kinds, by the loss
        raise ValueError(
            f"Argument `dataset` should give labels that the loss of output {name!r} "
            f"takes, beside outputs of shape {(None, *shape[1:])}. Received: labels of "
            f"shape {(None, *labels.shape[1:])}, of which Keras says: {describe(error)}"
        ) from error
