"""What a student shares with a teacher, and how far it is from that."""

import functools
import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.layer_types.registry import (
    find_linear_form,
    find_nearest_type,
)
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


class Imitation:
    """What a student should share with the original, and how far it is from that.

    Compared are the features that the last layers with a kernel read, before they are
    pooled: as means of squared differences, each by the variance of the feature in the
    original.

    Args:
        graph: The recorded `Graph` of the original.
        student: That of the student, the same calls in the same order.

    Attributes:
        variables: List of the student's variables to train.
    """

    def __init__(self, graph, student):
        twins = _pair_tensors(graph, student)
        targets = {}
        # Features are what the last layers with a kernel read: they say more than the
        # outputs, a few numbers an example, and so does a tensor before it is pooled.
        for call in _last_kernels(graph):
            read = [_before_pooling(graph, tensor) for tensor in call.inputs]
            read = [tensor for tensor in read if tensor not in graph.inputs]
            returned = (find_normalization(graph, call) or call).outputs
            # Where they have lost channels they cannot be matched one by one: then what
            # such a layer returns, and at last the outputs, which nothing removes.
            choices = read, returned, graph.outputs
            targets |= dict.fromkeys(next(c for c in choices if _can_match(c, twins)))
        sides = (graph, list(targets)), (student, [twins[t] for t in targets])
        self._sides = [(*side, _before_activations(*side)) for side in sides]
        # Layers after the features learn nothing from them: they keep their weights.
        leading = find_ancestors(*sides[1])
        trained = dict.fromkeys(call.operation for call in leading)
        variables = [v for o in trained for v in getattr(o, "trainable_variables", ())]
        # Layers may share a variable: each is trained once.
        self.variables = list({id(v): v for v in variables}.values())
        # Once the student has the original's features, the original's weights fit
        # behind them.
        self._heads = [
            (call.operation, twin.operation)
            for call, twin in zip(graph.calls, student.calls, strict=True)
            if getattr(twin.operation, "weights", ()) and twin.operation not in trained
        ]
        self._weights = tf.ones(len(targets))

    def restore_heads(self):
        """Gives the layers after the features the original's weights."""
        for operation, twin in self._heads:
            twin.set_weights(operation.get_weights())

    def measure_variances(self, batches):
        """Makes the loss relative to the variance of each target in the original.

        Args:
            batches: List of lists of input tensors.
        """

        @tf.function(reduce_retracing=True)
        def moments(inputs):
            values = _run(*self._sides[0], inputs)
            return [(tf.reduce_mean(v), tf.reduce_mean(v**2)) for v in values]

        mean, square = np.moveaxis(_average(moments, batches), -1, 0)
        variance = square - mean**2
        # A target that does not vary says nothing, and its rounding errors, divided by
        # nearly nothing, would say much.
        constant = variance <= 1e-6 * square
        self._weights = np.where(constant, 0, 1 / np.where(constant, 1, variance))
        self._weights = tf.constant(self._weights, tf.float32)
        self._compiled_loss = tf.function(self.loss, reduce_retracing=True)

    def loss(self, inputs):
        """Returns the error on a list of input tensors, a scalar tensor."""
        expected, found = (_run(*side, inputs) for side in self._sides)
        # Σ_t mean((f_t - f'_t)²) / Var(f_t), over the targets t.
        pairs = zip(expected, found, strict=True)
        errors = [tf.reduce_mean((ours - theirs) ** 2) for ours, theirs in pairs]
        return tf.reduce_sum(self._weights * tf.stack(errors))

    def error(self, batches):
        """Returns the mean loss over batches, a float."""
        return float(_average(self._compiled_loss, batches))


def _run(graph, tensors, stand_ins, inputs):
    """Returns the values of some tensors of a graph, in float32."""
    values = graph.feed(inputs)
    run_calls(find_ancestors(graph, tensors), values, stand_ins=stand_ins)
    return [tf.cast(values[tensor], tf.float32) for tensor in tensors]


def _before_activations(graph, tensors):
    """Returns the `stand_ins` of layers to be compared before their activation."""
    # A target that a layer returns is compared before its activation: where a ReLU or
    # a softmax is flat it would pass no gradient. Not if others read the activation.
    stand_ins = {}
    for call in _last_kernels(graph):
        form = find_linear_form(call.operation)
        others = [tensor for tensor in tensors if tensor not in call.outputs]
        alone = call not in find_ancestors(graph, others)
        if form is not None and alone and len(others) < len(tensors):
            stand_ins[call] = functools.partial(_apply, form)
    return stand_ins


def _apply(form, call, inputs, masks):
    return form.apply(form.read(call, inputs, masks))


def _last_kernels(graph):
    """Returns the calls of layers with a kernel that come last before the outputs."""
    found, pending = {}, list(graph.outputs)
    while pending:
        call = graph.producers.get(pending.pop())
        if call is None:
            continue
        if find_nearest_type(call.operation).kernels(call.operation):
            found[call] = None
        else:
            pending.extend(call.inputs)
    return sorted(found, key=lambda call: call.index)


def _before_pooling(graph, tensor):
    """Returns what a tensor is pooled (or flattened) from, or the tensor itself."""
    producers, largest = graph.producers, tensor
    call = producers.get(tensor)
    # Only through what computes from this tensor alone and learns nothing, such as
    # pooling, `Flatten` and `Dropout`.
    while call and len(call.inputs) == 1 and not getattr(call.operation, "weights", ()):
        (tensor,) = call.inputs
        if _size(tensor) > _size(largest):
            largest = tensor
        call = producers.get(tensor)
    return largest


def _size(tensor):
    return len(tensor.shape), math.prod(length or 1 for length in tensor.shape[1:])


def _pair_tensors(graph, student):
    """Returns a dict: tensor of the original -> tensor of the student."""
    ours, theirs = ([call.name for call in g.calls] for g in (graph, student))
    if ours != theirs:
        raise ValueError(
            "Argument `pruned` should be made from `original` by `remove_channels` or "
            "`repair_channels`. Received: models with other layers, "
            f"{sorted(set(ours) ^ set(theirs))} in one of them only"
        )
    twins = graph.feed(student.inputs)
    for call, twin in zip(graph.calls, student.calls, strict=True):
        twins.update(zip(call.outputs, twin.outputs, strict=True))
    return twins


def _can_match(tensors, twins):
    return tensors and all(tensor.shape == twins[tensor].shape for tensor in tensors)


def _average(function, batches):
    """Returns the mean of what a function of a batch returns over all examples."""
    sizes = [len(inputs[0]) for inputs in batches]
    values = [np.array(tf.nest.map_structure(float, function(b))) for b in batches]
    return np.average(values, axis=0, weights=sizes)
