"""What a coalition is worth: one value for each example, the higher the better."""

import tensorflow as tf

from keras_shapley_prune.trace.graph import find_activation
from keras_shapley_prune.trace.recording import record_graph


class Value:
    """What the outputs of a network are worth.

    Attributes:
        needs_labels: Boolean, whether it reads the labels of a batch.
        needs_reference: Boolean, whether it reads the outputs of the original network.
    """

    needs_labels = needs_reference = False

    def check_labels(self, labels, outputs):
        """Raises a `ValueError` unless labels can be read.

        Args:
            labels: (Nested) tensors of a batch, or `()`.
            outputs: List of the symbolic outputs of the network.
        """

    def __call__(self, labels, outputs, weights, reference):
        """Returns the values of a batch, float32, shape `(batch,)`.

        Args:
            labels: (Nested) tensors, or `()`.
            outputs: Flat list of the network's outputs.
            weights: (Nested) tensors, the sample weights, or `None`.
            reference: Flat list of the original network's outputs, or `()`.
        """
        raise NotImplementedError


class LossValue(Value):
    """Minus the loss of each example.

    Args:
        loss: A `PerExampleLoss`.
    """

    needs_labels = True

    def __init__(self, loss):
        self._loss = loss

    def check_labels(self, labels, outputs):
        self._loss.check_labels(labels, outputs)

    def __call__(self, labels, outputs, weights, reference):
        return -self._loss(labels, outputs, weights)


class DivergenceValue(Value):
    """Minus KL(original || masked), summed over the outputs.

    An output of a layer with a softmax activation is read as probabilities, of one
    with a sigmoid as independent probabilities; any other as logits of a softmax.

    Args:
        model: The `keras.Model`.
    """

    needs_reference = True

    def __init__(self, model):
        graph = record_graph(model)
        # Only the activation of the layer that returns an output tells probabilities
        # from logits.
        activations = [find_activation(graph, tensor) for tensor in graph.outputs]
        self._to_log_probabilities = [_LOGARITHMS.get(a, _logits) for a in activations]

    def __call__(self, labels, outputs, weights, reference):
        total = 0.0
        for convert, original, output in zip(
            self._to_log_probabilities, reference, outputs, strict=True
        ):
            wanted, got = convert(original), convert(output)
            # Σ_c p_c (log p_c - log q_c) at each position, and the mean over the
            # positions.
            divergence = tf.reduce_sum(tf.exp(wanted) * (wanted - got), axis=-1)
            axes = range(1, divergence.shape.rank)
            total -= tf.reduce_mean(divergence, axis=axes)
        return total


class CallableValue(Value):
    """What the user's function returns.

    Args:
        function: Callable `fn(labels, outputs)`.
    """

    def __init__(self, function):
        self._function = function

    def __call__(self, labels, outputs, weights, reference):
        outputs = outputs[0] if len(outputs) == 1 else outputs
        return tf.cast(self._function(labels, outputs), tf.float32)


# Keeps the logarithm of a probability of 0 finite.
_EPSILON = 1e-7


def _logits(outputs):
    return tf.nn.log_softmax(tf.cast(outputs, tf.float32))


def _probabilities(outputs):
    return tf.math.log(tf.cast(outputs, tf.float32) + _EPSILON)


def _independent(outputs):
    outputs = tf.cast(outputs, tf.float32)[..., tf.newaxis]
    # Each output is a choice of its own between two classes, on a new last axis.
    return tf.math.log(tf.concat([outputs, 1 - outputs], axis=-1) + _EPSILON)


_LOGARITHMS = {"softmax": _probabilities, "sigmoid": _independent}
