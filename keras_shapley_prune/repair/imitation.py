"""A student that is to have a teacher's features, and how far it is from that."""

import functools

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.imitation_targets import (
    find_features,
    find_reads,
    last_kernels,
    pair_graphs,
)
from keras_shapley_prune.trace.graph import find_ancestors, run_calls


class Imitation:
    """What a student should share with the original, and how far it is from that.

    The features that the last layers with a kernel read, before they are pooled, are
    what counts: `error` is about them alone. The loss of the training has half of its
    terms at other depths, what every linear layer reads. All are means of squared
    differences, each by the variance of the tensor in the original.

    Args:
        graph: The recorded `Graph` of the original.
        student: That of the student, the same calls but for those of removed blocks.
        ids: See `find_reads`.
        keep: See `find_reads`.
        absent: See `pair_graphs`.

    Attributes:
        layers: List of lists of the student's variables to train, those of a layer in
            one. Layers may share a variable.
    """

    def __init__(self, graph, student, ids=None, keep=None, absent=frozenset()):
        calls, twins = pair_graphs(graph, student, absent)
        features = find_features(graph, calls, twins)
        known = {target.tensor for target in features}
        reads = [
            target
            for target in find_reads(graph, calls, twins, ids, keep)
            if target.tensor not in known
        ]
        self._features = _Comparison(graph, student, features)
        self._all = _Comparison(graph, student, features + reads)
        shares = [1.0] * len(features) + [1 / len(reads) for _ in reads]
        self._shares = np.array(shares, "float32")
        self._weights = tf.constant(self._shares)
        # Layers after the features learn nothing from them: they keep their weights.
        leading = find_ancestors(student, [target.twin for target in features])
        trained = dict.fromkeys(call.operation for call in leading)
        owned = [getattr(operation, "trainable_variables", ()) for operation in trained]
        self.layers = [list(variables) for variables in owned if variables]
        # Once the student has the original's features, the original's weights fit
        # behind them.
        self._heads = [
            (call.operation, twin.operation)
            for call, twin in calls.items()
            if getattr(twin.operation, "weights", ()) and twin.operation not in trained
        ]

    def restore_heads(self):
        """Gives the layers after the features the original's weights."""
        for operation, twin in self._heads:
            shapes = [[v.shape for v in layer.weights] for layer in (operation, twin)]
            if shapes[0] == shapes[1]:  # one that leads nowhere may have lost units
                twin.set_weights(operation.get_weights())

    def measure_variances(self, batches):
        """Makes the loss relative to the variance of each target in the original.

        Args:
            batches: List of lists of input tensors, batches of one size.
        """

        @tf.function(reduce_retracing=True)
        def moments(inputs):
            values = self._all.expect(inputs)
            return [(tf.reduce_mean(v), tf.reduce_mean(v**2)) for v in values]

        found = np.array([tf.nest.map_structure(float, moments(b)) for b in batches])
        mean, square = found.mean(axis=0).T
        variance = square - mean**2
        # A target that does not vary says nothing, and its rounding errors, divided by
        # nearly nothing, would say much.
        constant = variance <= 1e-6 * square
        weights = np.where(constant, 0, self._shares / np.where(constant, 1, variance))
        self._weights = tf.constant(weights, tf.float32)

    def expect(self, inputs):
        """Returns what the original makes of a list of input tensors, for `loss`."""
        return self._all.expect(inputs)

    def loss(self, inputs, expected):
        """Returns what is to fall in training, a scalar tensor.

        Args:
            inputs: List of input tensors.
            expected: What `expect` returned for them.
        """
        return self._weigh(expected, self._all.find(inputs))

    def hold_out(self, batches):
        """Takes down what the original makes of the examples that `error` is about.

        Args:
            batches: List of lists of input tensors, batches of one size.
        """
        expect = tf.function(self._features.expect, reduce_retracing=True)
        self._held_out = [(inputs, expect(inputs)) for inputs in batches]
        self._compare = tf.function(
            lambda inputs, expected: self._weigh(expected, self._features.find(inputs)),
            reduce_retracing=True,
        )

    def error(self):
        """Returns the mean error of the features of what is held out, a float."""
        return float(np.mean([self._compare(*pair) for pair in self._held_out]))

    def _weigh(self, expected, found):
        """Returns Σ_t weight_t mean((f_t - f'_t)²) over the targets t, a scalar."""
        # The features come first, with or without the others.
        pairs = zip(expected, found, strict=True)
        errors = [tf.reduce_mean((ours - theirs) ** 2) for ours, theirs in pairs]
        return tf.reduce_sum(self._weights[: len(errors)] * tf.stack(errors))


class _Comparison:
    """The values of some targets, in the original and in the student, in float32."""

    def __init__(self, graph, student, targets):
        tensors = [target.tensor for target in targets]
        twins = [target.twin for target in targets]
        self._targets = targets
        self._original = graph, tensors, _before_activations(graph, tensors)
        self._student = student, twins, _before_activations(student, twins)

    def expect(self, inputs):
        """Returns the original's values, of the channels that the student has."""
        values = _run(*self._original, inputs)
        for index, target in enumerate(self._targets):
            if target.channels is not None:
                values[index] = tf.gather(values[index], target.channels, axis=-1)
        return values

    def find(self, inputs):
        """Returns the student's values."""
        return _run(*self._student, inputs)


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
    for call in last_kernels(graph):
        form = find_linear_form(call.operation)
        others = [tensor for tensor in tensors if tensor not in call.outputs]
        alone = call not in find_ancestors(graph, others)
        if form is not None and alone and len(others) < len(tensors):
            stand_ins[call] = functools.partial(_apply, form)
    return stand_ins


def _apply(form, call, inputs, masks):
    return form.apply(form.read(call, inputs, masks))
