"""Linear layers as one matrix product: `rows(x) @ matrix + bias`."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.einsum_axes import find_einsum_axes


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
    def has_bias(self):
        """Boolean. A layer within may add the bias for it."""
        return self._bias is not None

    @property
    def bias(self):
        """Float array, shape `(num_outputs,)`, or `None`."""
        return None if self._bias is None else keras.ops.convert_to_numpy(self._bias)

    @property
    def blocks(self):
        """List of `(columns, outputs)`: integer arrays, which outputs read which.

        The matrix is zero outside of the blocks.
        """
        return [(np.arange(len(self.channel_of)), np.arange(self.matrix.shape[1]))]

    @property
    def matrix(self):
        """Float array, shape `(num_columns, num_outputs)`."""
        return self._to_matrix(keras.ops.convert_to_numpy(self._kernel))

    def assign(self, matrix):
        """Sets the kernel."""
        self._kernel.assign(self._from_matrix(np.asarray(matrix, "float32")))

    def assign_bias(self, bias):
        """Sets the bias."""
        self._bias.assign(bias)

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
        outputs = self.apply_kernel(tf.cast(inputs, tf.float32))
        return (
            outputs if self._bias is None else outputs + tf.cast(self._bias, "float32")
        )

    def apply_kernel(self, inputs):
        """Returns `rows(inputs) @ matrix` the fast way, for float32 inputs."""
        raise NotImplementedError

    def activate(self, outputs):
        """Returns what the layer returns, given what it has before its activation."""
        activation = self.operation.activation
        outputs = outputs if activation is None else activation(outputs)
        return keras.ops.cast(outputs, self.operation.compute_dtype)

    def count_positions(self, inputs):
        """Returns how many rows `rows(inputs)` has for each example."""
        shape = self.operation.compute_output_shape(tuple(inputs.shape))
        return math.prod(shape[1:-1])

    @property
    def _kernel(self):
        return self.operation.kernel

    @property
    def _bias(self):
        return getattr(self.operation, "bias", None)

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

    def apply_kernel(self, inputs):
        return tf.matmul(inputs, self._float_kernel())


class EinsumForm(LinearForm):
    """`EinsumDense` with one output axis in its kernel: one row for each position."""

    def __init__(self, operation):
        self._axes = find_einsum_axes(operation)
        super().__init__(operation)

    def _find_channels(self):
        axes, shape = self._axes, self._kernel.shape
        sizes = [shape[axes.kernel.index(letter)] for letter in axes.contracted]
        channels = np.indices(sizes)[axes.contracted.index(axes.inputs[-1])]
        return channels.ravel()

    def rows(self, inputs):
        axes = self._axes
        order = [axes.inputs.index(a) for a in axes.outputs[:-1] + axes.contracted]
        inputs = tf.transpose(tf.cast(inputs, tf.float32), order)
        positions = inputs.shape[1 : len(axes.outputs) - 1]
        columns = len(self.channel_of)
        return tf.reshape(inputs, [-1, math.prod(positions), columns])

    def apply_kernel(self, inputs):
        return tf.einsum(self._axes.equation, inputs, self._float_kernel())

    def _order(self):
        """Returns where the kernel has the contracted axes, and then the output's."""
        letters = self._axes.contracted + self._axes.outputs[-1]
        return [self._axes.kernel.index(letter) for letter in letters]

    def _to_matrix(self, kernel):
        return super()._to_matrix(kernel.transpose(self._order()))

    def _from_matrix(self, matrix):
        order = self._order()
        shape = [self._kernel.shape[axis] for axis in order]
        return matrix.reshape(shape).transpose(np.argsort(order))


def to_rows(tensor):
    """Returns a tensor as `(batch, positions, channels)`, float32."""
    tensor = tf.cast(tensor, tf.float32)
    return tf.reshape(tensor, [-1, math.prod(tensor.shape[1:-1]), tensor.shape[-1]])
