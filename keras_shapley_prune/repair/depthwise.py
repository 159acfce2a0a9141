"""Repair of layers that keep channels apart: a scale and a bias for each."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.convolution_forms import ConvolutionForm
from keras_shapley_prune.layer_types.linear_forms import has_bias, to_rows
from keras_shapley_prune.repair.gram import CONSTANT
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.repair.taken_rows import take_taps

GROUPED = keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D
DEPTHWISE = keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D


def is_depthwise(operation):
    """Returns whether a layer is a depthwise convolution with the channels last.

    A convolution with as many groups as channels is one too.
    """
    kind = type(operation)
    alone = kind in GROUPED and operation.groups > 1 and operation.kernel.shape[-2] == 1
    return (alone or kind in DEPTHWISE) and operation.data_format == "channels_last"


def apply_depthwise(operation, inputs, bias=False):
    """Returns what a depthwise convolution returns before its activation.

    Args:
        operation: The layer.
        inputs: Tensor, shape `(batch, ..., channels)`.
        bias: Boolean, whether to add the layer's bias, if it has one.

    Returns:
        Float32 tensor, shape `(batch, ..., channels * depth_multiplier)`.
    """
    inputs = tf.cast(inputs, tf.float32)
    if type(operation) in GROUPED:
        outputs = ConvolutionForm(operation).apply_kernel(inputs)
    else:
        outputs = keras.ops.depthwise_conv(
            inputs,
            tf.cast(operation.kernel, tf.float32),
            strides=operation.strides,
            padding=operation.padding,
            dilation_rate=operation.dilation_rate,
            data_format=operation.data_format,
        )
    if bias and has_bias(operation):
        return outputs + tf.cast(operation.bias, tf.float32)
    return outputs


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
    if positions is None:
        return to_rows(apply_depthwise(operation, inputs, bias))
    taps = take_taps(operation, inputs, positions)[..., tf.newaxis]
    kernel = tf.reshape(tf.cast(operation.kernel, tf.float32), [*taps.shape[2:4], -1])
    outputs = tf.reduce_sum(taps * kernel, axis=2)
    outputs = tf.reshape(outputs, [-1, len(positions), math.prod(kernel.shape[1:])])
    if bias and has_bias(operation):
        return outputs + tf.cast(operation.bias, tf.float32)
    return outputs


def fit_scales(operation, pairs, can_shift):
    """Scales each channel of a depthwise convolution so that it fits its target.

    Least squares, held to a scale of 1.

    Args:
        operation: The layer. Its kernel is changed.
        pairs: Iterable of `(outputs without bias, targets)`, float32 tensors.
        can_shift: Boolean, whether a bias can go with it.

    Returns:
        Float array, shape `(channels,)`: the bias to go with it.
    """
    sums, count = 0.0, 0
    for pair in pairs:
        rows = [tf.reshape(tensor, [-1, tensor.shape[-1]]) for tensor in pair]
        x, y = (tf.cast(tensor, tf.float64) for tensor in rows)
        moments = [tf.reduce_sum(m, axis=0).numpy() for m in (x, y, x * x, x * y)]
        sums = sums + np.array(moments)
        count += int(x.shape[0])
    mean_x, mean_y, xx, xy = sums / count
    if not can_shift:
        mean_x, mean_y = np.zeros_like(mean_x), np.zeros_like(mean_y)
    constant = xx - mean_x**2 <= CONSTANT * xx
    xx = np.where(constant, 0, xx - mean_x**2)
    xy = np.where(constant, 0, xy - mean_x * mean_y)
    strength = max(RIDGE * xx.mean(), np.finfo(float).tiny)
    scale = (xy + strength) / (xx + strength)
    kernel = keras.ops.convert_to_numpy(operation.kernel)
    operation.kernel.assign(kernel * scale.reshape(kernel.shape[-2:]))
    return mean_y - scale * mean_x
