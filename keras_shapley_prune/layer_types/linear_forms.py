"""Linear layers as one matrix product: `rows(x) @ matrix + bias`."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.einsum_axes import find_einsum_axes


class LinearForm:
    """A layer that is linear up to its activation, seen as a matrix.

    The form of a layer of yours overrides `find_channels`, `rows` and `apply_kernel`;
    `kernel_weight` and `bias_weight` if the weights have other names; `to_matrix` and
    `from_matrix` if the kernel is not the matrix with its first axes spread out. So a
    layer that multiplies with `matrix` and adds `offset`, at each position, has

    ```python
    class MatrixForm(DenseForm):
        @property
        def kernel_weight(self):
            return self.operation.matrix

        @property
        def bias_weight(self):
            return self.operation.offset
    ```

    Attributes:
        operation: The layer.
        channel_of: Integer array, shape `(num_columns,)`: which channel of the input
            each column of `rows` comes from.
        site: Integer, the position of that input, or `INSIDE`.
    """

    site = 0

    def __init__(self, operation):
        self.operation = operation
        self.channel_of = self.find_channels()

    @property
    def has_bias(self):
        """Boolean. A layer within may add the bias for it."""
        return self.bias_weight is not None

    @property
    def bias(self):
        """Float array, shape `(num_outputs,)`, or `None`."""
        bias = self.bias_weight
        return None if bias is None else keras.ops.convert_to_numpy(bias)

    @property
    def blocks(self):
        """List of `(columns, outputs)`: integer arrays, which outputs read which.

        The matrix is zero outside of the blocks.
        """
        # One block: every output reads every column.
        return [(np.arange(len(self.channel_of)), np.arange(self.matrix.shape[1]))]

    @property
    def matrix(self):
        """Float array, shape `(num_columns, num_outputs)`."""
        return self.to_matrix(keras.ops.convert_to_numpy(self.kernel_weight))

    def assign(self, matrix):
        """Sets the kernel."""
        self.kernel_weight.assign(self.from_matrix(np.asarray(matrix, "float32")))

    def assign_bias(self, bias):
        """Sets the bias."""
        self.bias_weight.assign(bias)

    def scale(self, factors):
        """Multiplies each output before its bias.

        Args:
            factors: Float array, shape `(num_outputs,)`.
        """
        # Not by `assign`, which rounds to float32 before the kernel's own type does.
        matrix = self.matrix.astype("float64") * factors
        self.kernel_weight.assign(self.from_matrix(matrix))

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
        # By the layer's own operation. To build the rows first, which for a convolution
        # have each entry once for each tap, takes far more memory.
        outputs = self.apply_kernel(tf.cast(inputs, tf.float32))
        if not self.has_bias:
            return outputs
        return outputs + tf.cast(self.bias_weight, tf.float32)

    def apply_kernel(self, inputs):
        """Returns `rows(inputs) @ matrix` the fast way, for float32 inputs."""
        raise NotImplementedError

    def activate(self, outputs):
        """Returns what the layer returns, given what it has before its activation."""
        # Up to here everything is float32; the layer's own type is restored behind it.
        activation = getattr(self.operation, "activation", None)
        outputs = outputs if activation is None else activation(outputs)
        return keras.ops.cast(outputs, self.operation.compute_dtype)

    def count_positions(self, inputs):
        """Returns how many rows `rows(inputs)` has for each example."""
        try:
            shape = self.operation.compute_output_shape(tuple(inputs.shape))
        except NotImplementedError:  # a layer of a user's own need not have it
            return self.rows(inputs).shape[1]
        return math.prod(shape[1:-1])

    @property
    def kernel_weight(self):
        """The weight that holds the kernel."""
        return self.operation.kernel

    @property
    def bias_weight(self):
        """The weight that holds the bias, or `None`."""
        return getattr(self.operation, "bias", None)

    def find_channels(self):
        """Returns `channel_of`."""
        raise NotImplementedError

    def float_kernel(self):
        """Returns the kernel as a float32 tensor, whatever its own type is."""
        return tf.cast(self.kernel_weight, tf.float32)

    def to_matrix(self, kernel):
        """Returns the matrix of a kernel, an array."""
        return kernel.reshape(-1, kernel.shape[-1])

    def from_matrix(self, matrix):
        """Returns the kernel of a matrix, the inverse of `to_matrix`."""
        return matrix.reshape(self.kernel_weight.shape)


class DenseForm(LinearForm):
    """`Dense`: one row for each position of the axes in between."""

    def find_channels(self):
        return np.arange(self.kernel_weight.shape[0])

    def rows(self, inputs):
        return to_rows(inputs)

    def apply_kernel(self, inputs):
        return tf.matmul(inputs, self.float_kernel())


class EinsumForm(LinearForm):
    """`EinsumDense` with one output axis in its kernel: one row for each position."""

    def __init__(self, operation):
        self._axes = find_einsum_axes(operation)
        super().__init__(operation)

    def find_channels(self):
        # The columns run over all axes that are summed over, row-major; the channels
        # are the input's last one of these. In "abc,bcd->ad" that is c, and b is a tap.
        axes, shape = self._axes, self.kernel_weight.shape
        sizes = [shape[axes.kernel.index(letter)] for letter in axes.contracted]
        channels = np.indices(sizes)[axes.contracted.index(axes.inputs[-1])]
        return channels.ravel()

    def rows(self, inputs):
        axes = self._axes
        # (batch, *positions of the output, *summed axes), and then the last ones as
        # one: a row is all that one position of the output is a sum of.
        order = [axes.inputs.index(a) for a in axes.outputs[:-1] + axes.contracted]
        inputs = tf.transpose(tf.cast(inputs, tf.float32), order)
        positions = inputs.shape[1 : len(axes.outputs) - 1]
        columns = len(self.channel_of)
        return tf.reshape(inputs, [-1, math.prod(positions), columns])

    def apply_kernel(self, inputs):
        return tf.einsum(self._axes.equation, inputs, self.float_kernel())

    def _order(self):
        """Returns where the kernel has the contracted axes, and then the output's."""
        letters = self._axes.contracted + self._axes.outputs[-1]
        return [self._axes.kernel.index(letter) for letter in letters]

    def to_matrix(self, kernel):
        # The axes of the kernel may be in any order; here the output's comes last.
        return super().to_matrix(kernel.transpose(self._order()))

    def from_matrix(self, matrix):
        order = self._order()
        shape = [self.kernel_weight.shape[axis] for axis in order]
        # `argsort` of a permutation is its inverse.
        return matrix.reshape(shape).transpose(np.argsort(order))


def to_rows(tensor):
    """Returns a tensor as `(batch, positions, channels)`, float32."""
    tensor = tf.cast(tensor, tf.float32)
    positions, channels = math.prod(tensor.shape[1:-1]), tensor.shape[-1]
    # There may be as many channels as a batch has examples.
    channels = tf.shape(tensor)[-1] if channels is None else channels
    return tf.reshape(tensor, [-1, positions, channels])
