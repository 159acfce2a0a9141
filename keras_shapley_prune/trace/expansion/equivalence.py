"""The check that a functional model returns what a layer does."""

import keras
import numpy as np

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.functional_models import takes_training
from keras_shapley_prune.trace.graph import fill_in, is_symbolic

TOLERANCE = 1e-4  # of the largest output
LENGTHS = 32, 64, 224, 8  # tried where a model does not fix the length of an axis


def find_difference(layer, form, args, kwargs):
    """Returns how a functional model differs from a layer on one random batch.

    Args:
        layer: A `keras.Layer` or `keras.Model`.
        form: The functional model of the list of what it reads.
        args: See `Expander.trace`.
        kwargs: See `Expander.trace`.

    Returns:
        String, or `None` if both return the same.
    """
    if takes_training(layer):
        kwargs = {**kwargs, "training": False}
    for length in LENGTHS:
        generator = np.random.default_rng(0)
        arrays = [
            _draw(leaf, length, generator)
            for leaf in keras.tree.flatten((args, kwargs))
            if is_symbolic(leaf)
        ]
        filled = fill_in((args, kwargs), arrays)
        structure = keras.tree.pack_sequence_as(form.input, arrays)
        try:
            expected = layer(*filled[0], **filled[1])
        except Exception as error:  # perhaps of another length
            failure = f"cannot be run on random numbers: {first_line(error)}"
            continue
        try:
            received = form(structure, training=False)
        except Exception as error:
            return f"cannot be run: {first_line(error)}"
        difference = describe_difference(expected, received, TOLERANCE)
        return difference and f"returns {difference}"
    return failure


def _draw(tensor, length, generator):
    """Returns a random array in the place of a symbolic tensor.

    Args:
        tensor: The symbolic tensor.
        length: Integer, for axes whose length the tensor does not fix.
        generator: A `np.random.Generator`.
    """
    first, *others = tensor.shape or (None,)
    shape = [first or 2, *(n or length for n in others)][: len(tensor.shape)]
    if keras.backend.is_float_dtype(tensor.dtype):
        return generator.normal(size=shape).astype("float32")
    return generator.integers(0, 2, shape).astype(tensor.dtype)
