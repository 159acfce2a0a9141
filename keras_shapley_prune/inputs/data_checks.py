"""What labels and sample weights, and numbers of examples, have to be."""

import keras
import numpy as np
import tensorflow as tf


def leaves(structure):
    """Returns the tensors of a structure, without its entries that are `None`."""
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def check_real(value, what, dtype="float32"):
    """Raises a `ValueError` if a cast would drop the imaginary parts of numbers."""
    if value.dtype.is_complex and not tf.as_dtype(dtype).is_complex:
        raise ValueError(
            f"Argument `dataset` should hold real numbers for {what}; `abs`, or "
            "another input for the imaginary part, makes some. "
            f"Received: numbers of dtype {value.dtype.name}"
        )


def check_weights(weights):
    """Raises a `ValueError` unless sample weights can weigh anything.

    Args:
        weights: Flat list of tensors, those of a batch.

    Returns:
        Boolean, whether one of them is above zero.
    """
    weighs = False
    for tensor in weights:
        check_real(tensor, "`sample_weight`")
        values = tf.cast(tensor, tf.float64).numpy()
        right = np.isfinite(values) & (values >= 0)
        if not right.all():
            raise ValueError(
                "Argument `dataset` should give a finite `sample_weight` of at least 0 "
                f"for each example. Received: {values[~right].flat[0]}"
            )
        weighs = weighs or bool(values.any())
    return weighs
