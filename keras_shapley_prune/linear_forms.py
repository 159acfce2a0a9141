"""Linear layers as one matrix product: `rows(x) @ matrix + bias`."""

import math

import keras
import numpy as np
import tensorflow as tf


class LinearForm:
    """A layer that is linear up to its activation, seen as a matrix.

    Attributes:
        operation: The layer.
        channel_of: Integer array, shape `(num_columns,)`: which channel of the input
            each column of `rows` comes from.
        site: Integer, the position of that input, or `INSIDE`.
    """

    site = 0

    def __init__(self, operation):
        self.operation = operation
        self.channel_of = self._find_channels()

    @property
    def bias(self):
        """Float array, shape `(num_outputs,)`, or `None`."""
        if not self.operation.use_bias:
            return None
        return keras.ops.convert_to_numpy(self.operation.bias)

    @property
    def matrix(self):
        """Float array, shape `(num_columns, num_outputs)`."""
        return self._to_matrix(keras.ops.convert_to_numpy(self._kernel))

    def assign(self, matrix):
        """Sets the kernel."""
        self._kernel.assign(self._from_matrix(np.asarray(matrix, "float32")))

    def assign_bias(self, bias):
        """Sets the bias."""
        self.operation.bias.assign(bias)

    def read(self, call, inputs, masks):
        """Returns what `rows` and `apply` take.

        Args:
            call: A `Call` of the layer.
            inputs: List of tensors, what it reads.
            masks: Dict: input position -> `Mask`. That of `site` is not applied.
        """
        return inputs[0]

    def mask(self, inputs, mask):
        """Returns what `read` returned, masked at `site`.

        Args:
            inputs: Tensor, what `read` returned.
            mask: A `Mask`.
        """
        return mask(inputs)

    def rows(self, inputs):
        """Returns what the matrix is applied to.

        Args:
            inputs: Tensor, shape `(batch, ..., channels)`.

        Returns:
            Float32 tensor, shape `(batch, positions, num_columns)`.
        """
        raise NotImplementedError

    def apply(self, inputs):
        """Returns `rows(inputs) @ matrix + bias` the fast way.

        Returns:
            Float32 tensor, shape `(batch, ..., num_outputs)`: what the layer returns
            before its activation.
        """
        outputs = self._apply_kernel(tf.cast(inputs, tf.float32))
        if not self.operation.use_bias:
            return outputs
        return outputs + tf.cast(self.operation.bias, tf.float32)

    def activate(self, outputs):
        """Returns what the layer returns, given what it has before its activation."""
        activation = self.operation.activation
        outputs = outputs if activation is None else activation(outputs)
        return keras.ops.cast(outputs, self.operation.compute_dtype)

    @property
    def _kernel(self):
        return self.operation.kernel

    def _float_kernel(self):
        return tf.cast(self._kernel, tf.float32)

    def _to_matrix(self, kernel):
        return kernel.reshape(-1, kernel.shape[-1])

    def _from_matrix(self, matrix):
        return matrix.reshape(self._kernel.shape)


class DenseForm(LinearForm):
    """`Dense`: one row for each position of the axes in between."""

    def _find_channels(self):
        return np.arange(self._kernel.shape[0])

    def rows(self, inputs):
        return to_rows(inputs)

    def _apply_kernel(self, inputs):
        return tf.matmul(inputs, self._float_kernel())


class ConvolutionForm(LinearForm):
    """A convolution: one row for each output position, its patch of the input.

    The columns run over the taps of the kernel, and over the channels within a tap.
    """

    def _find_channels(self):
        *taps, channels, _ = self._kernel.shape
        return np.tile(np.arange(channels), math.prod(taps))

    def rows(self, inputs):
        operation = self.operation
        sizes, strides = operation.kernel_size, operation.strides
        inputs = tf.cast(inputs, tf.float32)
        if operation.padding != "valid":
            margins = [
                _same_padding(length, *window)
                for length, *window in zip(
                    inputs.shape[1:-1],
                    sizes,
                    strides,
                    operation.dilation_rate,
                    strict=True,
                )
            ]
            inputs = tf.pad(inputs, [(0, 0), *margins, (0, 0)])
        patches = _take_patches(inputs, sizes, strides, operation.dilation_rate)
        return to_rows(patches)

    def _apply_kernel(self, inputs):
        return self.operation.convolution_op(inputs, self._float_kernel())


class SeparableForm(LinearForm):
    """A separable convolution: the pointwise kernel, on the depthwise outputs."""

    def _find_channels(self):
        *_, channels, multiplier = self.operation.depthwise_kernel.shape
        return np.repeat(np.arange(channels), multiplier)

    @property
    def _kernel(self):
        return self.operation.pointwise_kernel

    def rows(self, inputs):
        outputs = self._depthwise(tf.cast(inputs, tf.float32))
        return to_rows(outputs)

    def _depthwise(self, inputs):
        operation = self.operation
        return keras.ops.depthwise_conv(
            inputs,
            tf.cast(operation.depthwise_kernel, tf.float32),
            strides=operation.strides,
            padding=operation.padding,
            dilation_rate=operation.dilation_rate,
            data_format=operation.data_format,
        )

    def _apply_kernel(self, inputs):
        return keras.ops.conv(
            self._depthwise(inputs), self._float_kernel(), padding="valid"
        )


class TransposedForm(LinearForm):
    """A transposed convolution: a convolution of the input with zeros in between."""

    def _find_channels(self):
        *taps, _, channels = self._kernel.shape
        return np.tile(np.arange(channels), math.prod(taps))

    def rows(self, inputs):
        operation = self.operation
        sizes, rates = operation.kernel_size, operation.dilation_rate
        inputs = tf.cast(inputs, tf.float32)
        shape = tuple(inputs.shape)
        outputs = operation.compute_output_shape(shape)[1:-1]
        margins = []
        for axis, stride in enumerate(operation.strides, start=1):
            inputs = _spread(inputs, axis, stride)
            reach = (sizes[axis - 1] - 1) * rates[axis - 1] + 1
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
        reach = (operation.kernel_size[axis] - 1) * operation.dilation_rate[axis] + 1
        return max((length - 1) * operation.strides[axis] + reach - output, 0) // 2

    def _apply_kernel(self, inputs):
        operation = self.operation
        return keras.ops.conv_transpose(
            inputs,
            self._float_kernel(),
            strides=operation.strides,
            padding=operation.padding,
            output_padding=operation.output_padding,
            data_format=operation.data_format,
            dilation_rate=operation.dilation_rate,
        )

    def _to_matrix(self, kernel):
        taps = tuple(range(kernel.ndim - 2))
        return super()._to_matrix(np.flip(kernel, taps).swapaxes(-1, -2))

    def _from_matrix(self, matrix):
        *taps, outputs, channels = self._kernel.shape
        kernel = matrix.reshape(*taps, channels, outputs).swapaxes(-1, -2)
        return np.flip(kernel, tuple(range(len(taps))))


def to_rows(tensor):
    """Returns a tensor as `(batch, positions, channels)`, float32."""
    tensor = tf.cast(tensor, tf.float32)
    return tf.reshape(tensor, [-1, math.prod(tensor.shape[1:-1]), tensor.shape[-1]])


def _same_padding(length, size, stride, rate):
    """Returns what padding="same" adds before and after an axis."""
    reach = (size - 1) * rate + 1
    total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def _take_patches(inputs, sizes, strides, rates):
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


def _spread(inputs, axis, stride):
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


def _pad_or_crop(inputs, margins):
    """Pads each spatial axis; a negative margin crops."""
    for axis, (before, after) in enumerate(margins, start=1):
        window = [slice(None)] * len(inputs.shape)
        window[axis] = slice(max(-before, 0), inputs.shape[axis] - max(-after, 0))
        inputs = inputs[tuple(window)]
    padding = [(max(before, 0), max(after, 0)) for before, after in margins]
    return tf.pad(inputs, [(0, 0), *padding, (0, 0)])
