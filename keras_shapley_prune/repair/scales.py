"""Repair of layers that keep channels apart: a scale and a bias for each."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.repair.ridge import RIDGE


def apply_depthwise(operation, inputs, bias=False):
    """Returns what a `DepthwiseConv2D` returns before its activation.

    Args:
        operation: The layer.
        inputs: Tensor, shape `(batch, height, width, channels)`.
        bias: Boolean, whether to add the layer's bias, if it has one.

    Returns:
        Float32 tensor, shape `(batch, height, width, channels * depth_multiplier)`.
    """
    outputs = keras.ops.depthwise_conv(
        tf.cast(inputs, tf.float32),
        operation.kernel,
        strides=operation.strides,
        padding=operation.padding,
        dilation_rate=operation.dilation_rate,
        data_format=operation.data_format,
    )
    return outputs + operation.bias if bias and operation.use_bias else outputs


def fit_scales(operation, pairs, can_shift):
    """Scales each channel of a `DepthwiseConv2D` so that it fits its target.

    Least squares, held to a scale of 1.

    Args:
        operation: The layer. Its kernel is changed.
        pairs: Iterable of `(outputs without bias, targets)`, float32 tensors.
        can_shift: Boolean, whether a bias can go with it.

    Returns:
        Float array, shape `(channels,)`: the bias to go with it.
    """
    sums, count = 0.0, 0
    for outputs, targets in pairs:
        x, y = (tf.reshape(t, [-1, t.shape[-1]]) for t in (outputs, targets))
        moments = [tf.reduce_sum(m, axis=0).numpy() for m in (x, y, x * x, x * y)]
        sums = sums + np.array(moments, "float64")
        count += int(x.shape[0])
    mean_x, mean_y, xx, xy = sums / count
    if not can_shift:
        mean_x, mean_y = np.zeros_like(mean_x), np.zeros_like(mean_y)
    xx, xy = xx - mean_x**2, xy - mean_x * mean_y
    strength = RIDGE * xx.mean() + 1e-12
    scale = (xy + strength) / (xx + strength)
    shape = operation.kernel.shape[-2:]
    operation.kernel.assign(operation.kernel * scale.reshape(shape).astype("float32"))
    return mean_y - scale * mean_x
