"""Convolutions as one matrix product."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.linear_forms import LinearForm, to_rows


class ConvolutionForm(LinearForm):
    """A convolution: one row for each output position, its patch of the input.

    The columns run over the taps of the kernel, and over the channels within a tap.
    With groups, the matrix has a block for each.
    """

    def find_channels(self):
        # The kernel is (*taps, channels of one group, filters). A row has the channels
        # of all groups at the first tap, then at the second, and so on.
        *taps, channels, _ = self.kernel_weight.shape
        return np.tile(np.arange(channels * self.operation.groups), math.prod(taps))

    @property
    def blocks(self):
        groups, (*_, channels, filters) = (
            self.operation.groups,
            self.kernel_weight.shape,
        )
        # Both the channels and the filters of a group are neighbours; its filters read
        # its channels at every tap.
        group_of = np.arange(filters) // (filters // groups)
        return [
            (
                np.flatnonzero(self.channel_of // channels == group),
                np.flatnonzero(group_of == group),
            )
            for group in range(groups)
        ]

    def rows(self, inputs):
        operation = self.operation
        sizes, strides = operation.kernel_size, operation.strides
        # Padded first: patches are taken as in a convolution without padding, and are
        # (batch, *positions, taps * channels).
        inputs = tf.pad(tf.cast(inputs, tf.float32), self._margins(inputs))
        patches = _take_patches(inputs, sizes, strides, operation.dilation_rate)
        return to_rows(patches)

    def _margins(self, inputs):
        """Returns what the padding adds before and after each axis."""
        operation = self.operation
        lengths, rates = inputs.shape[1:-1], operation.dilation_rate
        if operation.padding == "valid":
            margins = [(0, 0)] * len(lengths)
        elif operation.padding == "causal":
            # All of it before: no position may read a later one.
            margins = [((operation.kernel_size[0] - 1) * rates[0], 0)]
        else:
            windows = zip(
                lengths, operation.kernel_size, operation.strides, rates, strict=True
            )
            margins = [find_same_padding(*window) for window in windows]
        return [(0, 0), *margins, (0, 0)]

    def apply_kernel(self, inputs):
        operation, padding = self.operation, self.operation.padding
        if padding == "causal":
            # `keras.ops.conv` knows no causal padding.
            inputs, padding = tf.pad(inputs, self._margins(inputs)), "valid"
        return keras.ops.conv(
            inputs,
            self.float_kernel(),
            strides=operation.strides,
            padding=padding,
            dilation_rate=operation.dilation_rate,
            data_format=operation.data_format,
        )

    def to_matrix(self, kernel):
        blocks = self.blocks
        if len(blocks) == 1:
            return super().to_matrix(kernel)
        # (taps * channels of one group, filters). The rows of a block are in the same
        # order, tap by tap, so that its part of `flat` fits as it is.
        flat = super().to_matrix(kernel)
        matrix = np.zeros((len(self.channel_of), flat.shape[1]), flat.dtype)
        for columns, outputs in blocks:
            matrix[np.ix_(columns, outputs)] = flat[:, outputs]
        return matrix

    def from_matrix(self, matrix):
        # Blocks are in the order of the filters: side by side they are the kernel
        # again.
        flat = np.concatenate([matrix[np.ix_(*block)] for block in self.blocks], axis=1)
        return super().from_matrix(flat)


class SeparableForm(LinearForm):
    """A separable convolution: the pointwise kernel, on the depthwise outputs."""

    def find_channels(self):
        # The depthwise outputs of a channel are neighbours, `multiplier` of them.
        *_, channels, multiplier = self.operation.depthwise_kernel.shape
        return np.repeat(np.arange(channels), multiplier)

    @property
    def kernel_weight(self):
        return self.operation.pointwise_kernel

    def rows(self, inputs):
        # The pointwise kernel has one tap: each position of the depthwise outputs is a
        # row.
        outputs = self._depthwise(tf.cast(inputs, tf.float32))
        return to_rows(outputs)

    def _depthwise(self, inputs):
        kernel = self.operation.depthwise_kernel
        return convolve_depthwise(self.operation, kernel, inputs)

    def apply_kernel(self, inputs):
        return keras.ops.conv(
            # Strides, padding and dilation are those of the depthwise part alone.
            self._depthwise(inputs),
            self.float_kernel(),
            padding="valid",
        )


class TransposedForm(LinearForm):
    """A transposed convolution: a convolution of the input with zeros in between."""

    def find_channels(self):
        # The last two axes of the kernel are (filters, channels), the reverse of a
        # convolution's.
        *taps, _, channels = self.kernel_weight.shape
        return np.tile(np.arange(channels), math.prod(taps))

    def rows(self, inputs):
        operation = self.operation
        sizes, rates = operation.kernel_size, operation.dilation_rate
        inputs = tf.cast(inputs, tf.float32)
        shape = tuple(inputs.shape)
        outputs = operation.compute_output_shape(shape)[1:-1]
        margins = []
        # A transposed convolution of stride s is a plain one of stride 1, with the
        # kernel flipped, over the input with s - 1 zeros between neighbours. `reach` is
        # the length that a dilated kernel covers.
        for axis, stride in enumerate(operation.strides, start=1):
            inputs = _spread(inputs, axis, stride)
            reach = (sizes[axis - 1] - 1) * rates[axis - 1] + 1
            # `reach - 1` zeros at both ends give the full result. Of what the padding
            # crops from its start, no zeros are needed; at its end there are as many as
            # make exactly `outputs` positions: length + before + after - (reach - 1).
            before = reach - 1 - self._crop(axis - 1, shape[axis], outputs[axis - 1])
            after = outputs[axis - 1] + reach - 1 - before - inputs.shape[axis]
            margins.append((before, after))
        inputs = _pad_or_crop(inputs, margins)
        patches = _take_patches(inputs, sizes, (1,) * len(sizes), rates)
        return to_rows(patches)

    def _crop(self, axis, length, output):
        """How many entries at the start the padding cuts off the full result."""
        operation = self.operation
        if operation.padding == "valid":
            return 0
        # The full result has (length - 1) * stride + reach positions. Of what is too
        # much the smaller half is at the start, as in TensorFlow.
        reach = (operation.kernel_size[axis] - 1) * operation.dilation_rate[axis] + 1
        return max((length - 1) * operation.strides[axis] + reach - output, 0) // 2

    def apply_kernel(self, inputs):
        operation = self.operation
        return keras.ops.conv_transpose(
            inputs,
            self.float_kernel(),
            strides=operation.strides,
            padding=operation.padding,
            output_padding=operation.output_padding,
            data_format=operation.data_format,
            dilation_rate=operation.dilation_rate,
        )

    def to_matrix(self, kernel):
        # Flipped taps, and (channels, filters) as in a convolution: see `rows`.
        taps = tuple(range(kernel.ndim - 2))
        return super().to_matrix(np.flip(kernel, taps).swapaxes(-1, -2))

    def from_matrix(self, matrix):
        *taps, outputs, channels = self.kernel_weight.shape
        kernel = matrix.reshape(*taps, channels, outputs).swapaxes(-1, -2)
        return np.flip(kernel, tuple(range(len(taps))))


def find_same_padding(length, size, stride, rate):
    """Returns what padding="same" adds before and after an axis."""
    # TensorFlow's rule: ceil(length / stride) positions, and of an odd number of zeros
    # one more at the end.
    reach = (size - 1) * rate + 1
    total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def _take_patches(inputs, sizes, strides, rates):
    """Returns the patches of every position, `(batch, ..., taps * channels)`."""
    spatial = inputs.shape[1:-1]
    # How many positions a kernel without padding has on each axis.
    counts = [
        (length - (size - 1) * rate - 1) // stride + 1
        for length, size, stride, rate in zip(
            spatial, sizes, strides, rates, strict=True
        )
    ]
    patches = []
    # One strided slice for each tap, row-major, as `to_matrix` flattens the taps.
    # Within a tap are all channels.
    for tap in np.ndindex(*sizes):
        start = [t * rate for t, rate in zip(tap, rates, strict=True)]
        window = tuple(
            slice(first, first + (count - 1) * stride + 1, stride)
            for first, count, stride in zip(start, counts, strides, strict=True)
        )
        patches.append(inputs[(slice(None), *window)])
    return tf.concat(patches, axis=-1)


def _spread(inputs, axis, stride):
    """Puts `stride - 1` zeros between neighbours of an axis."""
    if stride == 1:
        return inputs
    length = inputs.shape[axis]
    # (..., length, 1, ...) -> (..., length, stride, ...) -> (..., length * stride,
    # ...), each entry followed by its zeros. Those behind the last one are cut off
    # again.
    spread = tf.expand_dims(inputs, axis + 1)
    margins = [(0, 0)] * len(spread.shape)
    margins[axis + 1] = (0, stride - 1)
    shape = [-1, *inputs.shape[1:]]
    shape[axis] = length * stride
    spread = tf.reshape(tf.pad(spread, margins), shape)
    ends = [slice(None)] * len(shape)
    ends[axis] = slice(0, (length - 1) * stride + 1)
    return spread[tuple(ends)]


def _pad_or_crop(inputs, margins):
    """Pads each spatial axis; a negative margin crops."""
    for axis, (before, after) in enumerate(margins, start=1):
        window = [slice(None)] * len(inputs.shape)
        window[axis] = slice(max(-before, 0), inputs.shape[axis] - max(-after, 0))
        inputs = inputs[tuple(window)]
    padding = [(max(before, 0), max(after, 0)) for before, after in margins]
    return tf.pad(inputs, [(0, 0), *padding, (0, 0)])


def convolve_depthwise(operation, kernel, inputs):
    """Returns what a kernel makes of inputs, in float32, channel by channel.

    Args:
        operation: The layer, which says the strides, the padding and the dilation.
        kernel: Its variable of shape `(*taps, channels, depth_multiplier)`.
        inputs: Float32 tensor, shape `(batch, *positions, channels)`.
    """
    return keras.ops.depthwise_conv(
        inputs,
        tf.cast(kernel, tf.float32),
        strides=operation.strides,
        padding=operation.padding,
        dilation_rate=operation.dilation_rate,
        data_format=operation.data_format,
    )
