"""Repair of layers that keep channels apart: a scale and a bias for each."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.depthwise_forms import (
    DepthwiseForm,
    GroupedDepthwiseForm,
)
from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.registry import find_depthwise_form
from keras_shapley_prune.repair.gram import CONSTANT
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.repair.taken_rows import take_taps


def is_depthwise(operation):
    """Returns whether a layer has a `DepthwiseForm`.

    A convolution with as many groups as channels has one too.
    """
    return find_depthwise_form(operation) is not None


def apply_depthwise(operation, inputs, bias=False):
    """Returns what a depthwise layer returns before its activation.

    Args:
        operation: The layer.
        inputs: Tensor, shape `(batch, ..., channels)`.
        bias: Boolean, whether to add the layer's bias, if it has one.

    Returns:
        Float32 tensor, shape `(batch, ..., channels * depth_multiplier)`.
    """
    form = find_depthwise_form(operation)
    inputs = tf.cast(inputs, tf.float32)
    return form.apply(inputs) if bias else form.apply_kernel(inputs)


def apply_depthwise_at(operation, inputs, positions, bias=False):
    """Returns what `apply_depthwise` does, at some positions.

    Args:
        operation: The layer.
        inputs: Tensor, shape `(batch, ..., channels)`.
        positions: Integer array, places among its outputs, or `None` for all.
        bias: Boolean, whether to add the layer's bias, if it has one.

    Returns:
        Float32 tensor, shape `(batch, positions, channels * depth_multiplier)`.
    """
    form = find_depthwise_form(operation)
    # What the form of a user's own layer does at one position is not known.
    own = type(form) not in (DepthwiseForm, GroupedDepthwiseForm)
    if positions is None or own:
        outputs = to_rows(apply_depthwise(operation, inputs, bias))
        return outputs if positions is None else tf.gather(outputs, positions, axis=1)
    taps = take_taps(operation, inputs, positions)[..., tf.newaxis]
    kernel = tf.reshape(tf.cast(operation.kernel, tf.float32), [*taps.shape[2:4], -1])
    outputs = tf.reduce_sum(taps * kernel, axis=2)
    outputs = tf.reshape(outputs, [-1, len(positions), math.prod(kernel.shape[1:])])
    if bias and form.has_bias:
        return outputs + tf.cast(operation.bias, tf.float32)
    return outputs


def fit_scales(operation, pairs, can_shift):
    """Scales each output channel of a depthwise layer so that it fits its target.

    The scale is that of ridge regression towards 1: with x the layer's output without
    bias, y its target, both centered if a bias can go with the scale, and r a small
    share of the mean of x², it is (xy + r) / (xx + r).

    Args:
        operation: The layer. Its kernel is changed.
        pairs: Iterable of `(outputs without bias, targets)`, float32 tensors, of this
            worker's batches.
        can_shift: Boolean, whether a bias can go with it.

    Returns:
        Float array, shape `(channels,)`: the bias to go with it.
    """
    sums, count = 0.0, 0
    for pair in pairs:
        rows = [tf.reshape(tensor, [-1, tensor.shape[-1]]) for tensor in pair]
        x, y = (tf.cast(tensor, tf.float64) for tensor in rows)
        # Sums over all rows, for each channel. Variances are small differences of them,
        # hence float64.
        moments = [tf.reduce_sum(m, axis=0).numpy() for m in (x, y, x * x, x * y)]
        sums = sums + np.array(moments)
        count += int(x.shape[0])
    sums, count = current_workers().sum(sums, count)
    mean_x, mean_y, xx, xy = sums / count
    # Without a bias the line goes through the origin: nothing is centered.
    if not can_shift:
        mean_x, mean_y = np.zeros_like(mean_x), np.zeros_like(mean_y)
    # A channel that does not vary says nothing of its scale: with sums of 0 it keeps 1.
    constant = xx - mean_x**2 <= CONSTANT * xx
    xx = np.where(constant, 0, xx - mean_x**2)
    xy = np.where(constant, 0, xy - mean_x * mean_y)
    # With xx = xy = 0 the scale is r / r = 1, also if all of the layer is constant.
    strength = max(RIDGE * xx.mean(), np.finfo(float).tiny)
    scale = (xy + strength) / (xx + strength)
    find_depthwise_form(operation).scale(scale)
    return mean_y - scale * mean_x
