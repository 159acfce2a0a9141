"""What a repaired layer should return: the original's output, and more."""

import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear, find_normalization
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import find_form, sums_inputs
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


class SkipCompensation:
    """What an addition after a layer has on its other side, as the layer would add it.

    In a residual block the last convolution can make up for what the skip connection
    lost: then the sum, and not only the convolution's output, is as in the original.
    With s and s' what the other inputs sum up to in the original and the pruned model,
    the convolution's target is its old output plus s - s', and divided by the factor of
    the BatchNormalization that stands in between. This is s, or s', so divided.

    Args:
        graph: The recorded `Graph` of one of the two.
        call: The call of the layer, linear up to its output.
        find_masks: The `find_masks` of that network.

    Attributes:
        addition: The `Call` of the addition, `None` if there is none that the layer
            could make up for.
    """

    def __init__(self, graph, call, find_masks=no_masks):
        self._find_masks, self._others, self._normalization = find_masks, [], None
        self.addition = None
        # Behind an activation a difference can not be made up for by a sum before it.
        if not ends_linear(call.operation):
            return
        normalization = find_normalization(graph, call)
        tensor = call.outputs[0] if normalization is None else normalization.outputs[0]
        readers = graph.consumers().get(tensor, [])
        if tensor in graph.outputs or len(readers) != 1 or not _is_addition(readers[0]):
            return
        (addition,) = readers
        # What is broadcast has fewer values than the sum that it changes.
        if [t.shape for t in addition.inputs] != [tensor.shape] * len(addition.inputs):
            return
        others = [other for other in addition.inputs if other is not tensor]
        # The other side may have been run only in part when the layer is repaired: what
        # is missing of it is run then.
        self._missing = find_ancestors(graph, others, call.index)
        if any(is_fitted(missing.operation) for missing in self._missing):
            return  # it will make up for this layer, not the reverse
        self.addition, self._others = addition, others
        self._normalization = normalization and normalization.operation

    def __call__(self, values):
        """Returns what the layer would have to add, `None` if nothing is added to it.

        Args:
            values: Dict: symbolic tensor -> value, before the layer or behind it.
        """
        if not self._others:
            return None
        values = dict(values)
        run_calls(self._missing, values, self._find_masks)
        total = sum(tf.cast(values[other], tf.float32) for other in self._others)
        return unscale(total, self._normalization)


def unscale(total, normalization):
    """Returns what becomes a sum once a BatchNormalization has scaled it.

    Args:
        total: Float32 tensor, shape `(..., channels)`.
        normalization: The layer, or `None` if there is none in between.
    """
    if normalization is None:
        return total
    scale, usable = find_scale(normalization)
    return tf.where(usable, total / tf.where(usable, scale, 1.0), 0.0)


def find_scale(normalization):
    """Returns what a BatchNormalization multiplies channels with, and which it keeps.

    Args:
        normalization: The layer.

    Returns:
        Tuple of a float32 and a boolean tensor, shape `(channels,)`: the factors, and
        whether a channel can carry what is divided by its factor.
    """
    variance = tf.cast(normalization.moving_variance, tf.float32)
    scale = tf.math.rsqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * tf.cast(normalization.gamma, tf.float32)
    # A channel that the normalization all but switches off cannot.
    return scale, tf.abs(scale) > 1e-3 * tf.reduce_max(tf.abs(scale))


def is_fitted(operation):
    """Returns whether a layer can be fitted by least squares."""
    return find_form(operation) is not None


def _is_addition(call):
    return len(call.inputs) > 1 and sums_inputs(call.operation)  # not a constant
