"""Steps as examples: how the time axis of tensors is taken away and put back."""

import keras
import numpy as np
import tensorflow as tf


class _Constant(np.ndarray):
    """An array that is the same at all steps."""


def as_constant(value):
    """Returns an array, or a tensor, as one that no step is taken of.

    Args:
        value: What an operation is called with; all else is returned as it is.
    """
    if not isinstance(value, (tf.Tensor, np.ndarray)):
        return value
    return keras.ops.convert_to_numpy(value).view(_Constant)


def count_steps(structure):
    """Returns the length of the time axis, an integer, or a tensor if it is open."""
    first = first_sequence(structure)
    return first.shape[1] if first.shape[1] is not None else tf.shape(first)[1]


def fold(structure):
    """Takes steps for examples: `(batch, steps, ...)` becomes `(batch * steps, ...)`.

    Masks of time steps, which Keras hangs on tensors, are folded with them.

    Args:
        structure: Nested tensors, or symbolic ones; whatever else is in it remains.
    """

    def fold_one(tensor):
        if _is_symbolic(tensor):
            return keras.KerasTensor((None, *tensor.shape[2:]), tensor.dtype)
        if not _has_steps(tensor):
            return tensor
        return _reshape(tensor, lambda sizes: [-1, *sizes[2:]])

    return keras.tree.map_structure(fold_one, structure)


def unfold(structure, steps):
    """Puts the time axis back that `fold` has taken away.

    Args:
        structure: Nested tensors.
        steps: Integer or tensor, its length.
    """

    def unfold_one(tensor):
        if tensor is None:  # such as the mask of what has none
            return None
        return _reshape(tensor, lambda sizes: [-1, steps, *sizes[1:]])

    return keras.tree.map_structure(unfold_one, structure)


def _reshape(tensor, new_shape):
    reshaped = tf.reshape(tensor, new_shape(keras.ops.shape(tensor)))
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        reshaped._keras_mask = tf.reshape(mask, new_shape(keras.ops.shape(mask)))
    return reshaped


def run_in_turn(function, args, kwargs):
    """Returns what a function of single steps makes of sequences, step by step.

    Args:
        function: Callable, see `Stepwise.run`.
        args: Tuple, what it is called with.
        kwargs: Dict, the same by name.
    """
    first = first_sequence((args, kwargs))

    def run(step):
        def take(tensor):
            return tensor[:, step] if _has_steps(tensor) else tensor

        now, named = keras.tree.map_structure(take, (args, kwargs))
        return function(*now, **named)

    if first.shape[1] is not None:
        returned = [run(step) for step in range(first.shape[1])]
        return keras.tree.map_structure(lambda *all: tf.stack(all, axis=1), *returned)
    returned = keras.ops.vectorized_map(run, tf.range(tf.shape(first)[1]))
    return keras.tree.map_structure(
        lambda x: tf.transpose(x, [1, 0, *range(2, x.shape.rank)]), returned
    )


def first_sequence(structure):
    """Returns the first of nested tensors that has steps."""
    flat = keras.tree.flatten(structure)
    return next(x for x in flat if _has_steps(x) or _is_symbolic(x))


def _has_steps(value):
    is_array = isinstance(value, (tf.Tensor, np.ndarray))
    return is_array and not isinstance(value, _Constant)


def _is_symbolic(value):
    return isinstance(value, keras.KerasTensor)
