"""Linear layers that keep channels apart: each output channel reads one input's."""

import math

import keras
import tensorflow as tf

from keras_shapley_prune.layer_types.convolution_forms import (
    ConvolutionForm,
    convolve_depthwise,
)


class DepthwiseForm:
    """A depthwise convolution, linear up to its activation.

    Repair gives each of its output channels a scale, and a bias if it has one.
    Another kind of layer overrides `apply_kernel` and `scale`.

    Args:
        operation: The layer, with a `bias` (`None` if it adds none).
    """

    def __init__(self, operation):
        self.operation = operation

    @property
    def has_bias(self):
        """Boolean."""
        return self.bias_weight is not None

    @property
    def bias_weight(self):
        """The weight that holds the bias, or `None`."""
        return getattr(self.operation, "bias", None)

    @property
    def bias(self):
        """Float array, shape `(channels * depth_multiplier,)`, or `None`."""
        bias = self.bias_weight
        return None if bias is None else keras.ops.convert_to_numpy(bias)

    def assign_bias(self, bias):
        """Sets the bias."""
        self.bias_weight.assign(bias)

    def apply(self, inputs):
        """Returns what the layer returns before its activation.

        Args:
            inputs: Tensor, shape `(batch, ..., channels)`.

        Returns:
            Float32 tensor, shape `(batch, ..., channels * depth_multiplier)`.
        """
        outputs = self.apply_kernel(tf.cast(inputs, tf.float32))
        if not self.has_bias:
            return outputs
        return outputs + tf.cast(self.operation.bias, tf.float32)

    def apply_kernel(self, inputs):
        """Returns the same without the bias, for float32 inputs."""
        return convolve_depthwise(self.operation, self.operation.kernel, inputs)

    def count_positions(self, inputs):
        """Returns how many positions the output has for each example."""
        try:
            shape = self.operation.compute_output_shape(tuple(inputs.shape))
        except NotImplementedError:  # a layer of a user's own need not have it
            shape = self.apply_kernel(tf.cast(inputs, tf.float32)).shape
        return math.prod(shape[1:-1])

    def scale(self, factors):
        """Multiplies each output channel before its bias.

        Args:
            factors: Float array, shape `(channels * depth_multiplier,)`.
        """
        kernel = keras.ops.convert_to_numpy(self.operation.kernel)
        # The last two axes are the input's channels and the outputs of each: one in
        # front of the other, they are the output's channels.
        self.operation.kernel.assign(kernel * factors.reshape(kernel.shape[-2:]))


class GroupedDepthwiseForm(DepthwiseForm):
    """A convolution with as many groups as channels: depthwise by another name."""

    def apply_kernel(self, inputs):
        return ConvolutionForm(self.operation).apply_kernel(inputs)
