"""Rows of a layer at some of its positions; the others are never made."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.convolution_forms import (
    ConvolutionForm,
    find_same_padding,
)

ROWS_A_COLUMN = 64  # more positions than that tell a fit nothing new


def choose_positions(num_positions, num_columns, num_examples):
    """Returns as many random positions of each example as a fit needs.

    Args:
        num_positions: Integer, those of an example.
        num_columns: Integer, of the rows.
        num_examples: Integer.

    Returns:
        Integer array, or `None` for all of them.
    """
    wanted = -(-ROWS_A_COLUMN * num_columns // num_examples)
    if wanted >= num_positions:
        return None
    return np.sort(np.random.default_rng(0).permutation(num_positions)[:wanted])


def find_held_out(first, count):
    """Returns which of some examples no fit reads: every fifth of the data.

    Args:
        first: Integer, the number of the first of them in the data.
        count: Integer.

    Returns:
        Boolean array, shape `(count,)`.
    """
    return (first + np.arange(count)) % 5 == 0


def rows_at(rows, positions):
    """Returns rows at some positions, or all if that is `None`."""
    return rows if positions is None else tf.gather(rows, positions, axis=1)


def take_rows(form, inputs, positions):
    """Returns `form.rows(inputs)` at some positions.

    Args:
        form: A `LinearForm`.
        inputs: Tensor, what the form's `read` returned.
        positions: Integer array, or `None` for all.

    Returns:
        Float32 tensor, shape `(batch, len(positions), num_columns)`.
    """
    if positions is None:
        return form.rows(inputs)
    if type(form) is not ConvolutionForm:
        return rows_at(form.rows(inputs), positions)
    taps = take_taps(form.operation, inputs, positions)
    return tf.reshape(taps, [-1, len(positions), taps.shape[2] * taps.shape[3]])


def take_taps(operation, inputs, positions):
    """Returns what each tap of a convolution's kernel reads at some positions.

    Args:
        operation: A convolution with the channels last, depthwise or not.
        inputs: Tensor, shape `(batch, ..., channels)`.
        positions: Integer array, places among its outputs.

    Returns:
        Float32 tensor, shape `(batch, len(positions), taps, channels)`.
    """
    *lengths, channels = inputs.shape[1:]
    places, inside = find_taps(operation, lengths, positions)
    pixels = tf.reshape(inputs, [-1, math.prod(lengths), channels])
    taps = tf.cast(tf.gather(pixels, places, axis=1), tf.float32)
    return taps if inside.all() else taps * tf.constant(inside[..., None], tf.float32)


def find_taps(operation, lengths, positions):
    """Returns which pixels the taps of a convolution's kernel read.

    Args:
        operation: See `take_taps`.
        lengths: List of integers, the input's spatial shape.
        positions: Integer array, places among its outputs.

    Returns:
        Tuple of an integer array, shape `(len(positions), taps)`, places among the
        pixels, and a boolean array, false where a tap reads the padding.
    """
    sizes, strides = operation.kernel_size, operation.strides
    rates, axes = operation.dilation_rate, range(len(lengths))
    reaches = [(size - 1) * rate for size, rate in zip(sizes, rates, strict=True)]
    margins = [_margin(operation, axis, lengths[axis]) for axis in axes]
    counts = [
        (lengths[axis] + sum(margins[axis]) - reaches[axis] - 1) // strides[axis] + 1
        for axis in axes
    ]
    taps = np.array(list(np.ndindex(*sizes))).T
    places, inside = 0, True
    for axis, at in enumerate(np.unravel_index(positions, counts)):
        first = at * strides[axis] - margins[axis][0]
        pixels = first[:, np.newaxis] + taps[axis] * rates[axis]
        inside = inside & (pixels >= 0) & (pixels < lengths[axis])
        places = places * lengths[axis] + np.clip(pixels, 0, lengths[axis] - 1)
    return places, inside


def _margin(operation, axis, length):
    """Returns what the padding adds before and after an axis."""
    size, rate = operation.kernel_size[axis], operation.dilation_rate[axis]
    if operation.padding == "causal":
        return (size - 1) * rate, 0
    if operation.padding == "valid":
        return 0, 0
    return find_same_padding(length, size, operation.strides[axis], rate)
