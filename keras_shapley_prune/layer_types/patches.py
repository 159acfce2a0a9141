"""The patches of a tensor that the taps of a kernel read."""

import math

import numpy as np
import tensorflow as tf


def find_same_padding(length, size, stride, rate):
    """Returns what padding="same" adds before and after an axis."""
    reach = (size - 1) * rate + 1
    total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def take_patches(inputs, sizes, strides, rates):
    """Returns the patches of every position, `(batch, ..., taps * channels)`."""
    spatial = inputs.shape[1:-1]
    counts = [
        (length - (size - 1) * rate - 1) // stride + 1
        for length, size, stride, rate in zip(
            spatial, sizes, strides, rates, strict=True
        )
    ]
    patches = []
    for tap in np.ndindex(*sizes):
        start = [t * rate for t, rate in zip(tap, rates, strict=True)]
        window = tuple(
            slice(first, first + (count - 1) * stride + 1, stride)
            for first, count, stride in zip(start, counts, strides, strict=True)
        )
        patches.append(inputs[(slice(None), *window)])
    return tf.concat(patches, axis=-1)


def spread(inputs, axis, stride):
    """Puts `stride - 1` zeros between neighbours of an axis."""
    if stride == 1:
        return inputs
    length = inputs.shape[axis]
    spread = tf.expand_dims(inputs, axis + 1)
    margins = [(0, 0)] * len(spread.shape)
    margins[axis + 1] = (0, stride - 1)
    shape = [-1, *inputs.shape[1:]]
    shape[axis] = length * stride
    spread = tf.reshape(tf.pad(spread, margins), shape)
    ends = [slice(None)] * len(shape)
    ends[axis] = slice(0, (length - 1) * stride + 1)
    return spread[tuple(ends)]


def pad_or_crop(inputs, margins):
    """Pads each spatial axis; a negative margin crops."""
    for axis, (before, after) in enumerate(margins, start=1):
        window = [slice(None)] * len(inputs.shape)
        window[axis] = slice(max(-before, 0), inputs.shape[axis] - max(-after, 0))
        inputs = inputs[tuple(window)]
    padding = [(max(before, 0), max(after, 0)) for before, after in margins]
    return tf.pad(inputs, [(0, 0), *padding, (0, 0)])
