"""What a repaired layer should return: the original's output, and more."""

import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear, find_normalization
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import (
    find_depthwise_form,
    find_layer_type,
    find_linear_form,
)
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


class SkipCompensation:
    """What an addition after a layer lacks on its other side.

    In a residual block the last convolution can make up for what the skip connection
    lost: then the sum, and not only the convolution's output, is as in the original.
    With s and s' what the other inputs sum up to in the original and the pruned model,
    the convolution's target is its old output plus s - s', and divided by the factor of
    the BatchNormalization that stands in between.

    Args:
        graph: The recorded `Graph` of the original.
        other_graph: That of the pruned model, the same calls in the same order.
        call: The call of the layer, linear up to its output.
        find_masks: The `find_masks` of the pruned model.
    """

    def __init__(self, graph, other_graph, call, find_masks=no_masks):
        self._find_masks = no_masks, find_masks
        self._pairs, self._missing, self._normalization = [], [], None
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
        twin = other_graph.calls[addition.index]
        self._pairs = [
            pair
            for pair in zip(addition.inputs, twin.inputs, strict=True)
            if pair[0] is not tensor
        ]
        self._normalization = normalization and normalization.operation
        # The other side may have been run only in part when the layer is repaired: what
        # is missing of it is run then, in both networks.
        others = [[pair[side] for pair in self._pairs] for side in (0, 1)]
        self._missing = [
            find_ancestors(g, tensors, call.index)
            for g, tensors in zip((graph, other_graph), others, strict=True)
        ]
        if any(_is_fitted(missing.operation) for missing in self._missing[0]):
            self._pairs = []  # it will make up for this layer, not the reverse

    def __call__(self, original, pruned):
        """Returns what to add to the target, or 0.

        Args:
            original: Dict: symbolic tensor -> value, of the original.
            pruned: The same of the pruned model.
        """
        original, pruned = dict(original), dict(pruned)
        if self._pairs:
            both = zip((original, pruned), self._missing, self._find_masks, strict=True)
            for values, missing, find_masks in both:
                run_calls(missing, values, find_masks)
        known = [(a, b) for a, b in self._pairs if a in original and b in pruned]
        lacking = sum(tf.cast(original[a] - pruned[b], tf.float32) for a, b in known)
        if not known or self._normalization is None:
            return lacking
        bn = self._normalization
        scale = tf.math.rsqrt(bn.moving_variance + bn.epsilon)
        scale = scale * bn.gamma if bn.scale else scale
        # A channel that the normalization all but switches off cannot carry it.
        usable = tf.abs(scale) > 1e-3 * tf.reduce_max(tf.abs(scale))
        return tf.where(usable, lacking / tf.where(usable, scale, 1.0), 0.0)


def _is_fitted(operation):
    return bool(find_linear_form(operation) or find_depthwise_form(operation))


def _is_addition(call):
    layer_type = find_layer_type(call.operation)
    adds = layer_type is not None and layer_type.sums_inputs
    return len(call.inputs) > 1 and adds  # not a constant
