"""The outputs of a network, on a scale on which their errors add up."""

import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_nearest_type

_EPSILON = 1e-7  # keeps the logarithm of a probability of 0 finite


class OutputScale:
    """Takes outputs to where a change of one is as bad as a change of another.

    Probabilities become logits: there, a small one counts too. Everything else stays as
    it is. Outputs of several layers are divided by their standard deviation.

    Args:
        graph: The recorded `Graph`.
        inputs: List of tensors, some examples, for the standard deviations.
    """

    def __init__(self, graph, inputs):
        self._graph = graph
        makers = (graph.producers.get(tensor) for tensor in graph.outputs)
        names = [call and _activation_name(call.operation) for call in makers]
        self._convert = [_CONVERSIONS.get(name, _as_it_is) for name in names]
        self._scales = [1.0] * len(names)
        if len(names) > 1:
            values = graph.feed(inputs)
            graph.run_between(values, 0, len(graph.calls))
            outputs = self(values)
            self._scales = [
                1 / max(float(tf.math.reduce_std(z)), 1e-12) for z in outputs
            ]

    def __call__(self, values):
        """Returns the outputs, float32 tensors, a list.

        Args:
            values: Dict: symbolic tensor -> value, at the end of the network.
        """
        rows = zip(self._graph.outputs, self._convert, self._scales, strict=True)
        return [
            convert(tf.cast(values[tensor], tf.float32)) * scale
            for tensor, convert, scale in rows
        ]


def _activation_name(operation):
    return find_nearest_type(operation).output_activation(operation)


def _as_it_is(outputs):
    return outputs


def _softmax_logits(outputs):
    logits = tf.math.log(outputs + _EPSILON)
    return logits - tf.reduce_mean(logits, axis=-1, keepdims=True)


def _sigmoid_logits(outputs):
    return tf.math.log(outputs + _EPSILON) - tf.math.log(1 - outputs + _EPSILON)


_CONVERSIONS = {"softmax": _softmax_logits, "sigmoid": _sigmoid_logits}
