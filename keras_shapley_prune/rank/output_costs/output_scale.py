"""The outputs of a network, on a scale on which their errors add up."""

import tensorflow as tf

from keras_shapley_prune.trace.graph import find_activation

_EPSILON = 1e-7  # keeps the logarithm of a probability of 0 finite


class OutputScale:
    """Takes outputs to where a change of one is as bad as a change of another.

    Probabilities become logits: there, a small one counts too. Everything else stays as
    it is. If there are several outputs, each is divided by its standard deviation.
    Outputs that are no floats, such as class numbers, are left out.

    Args:
        graph: The recorded `Graph`.
        inputs: List of tensors, some examples, for the standard deviations.
    """

    def __init__(self, graph, inputs):
        tensors = [t for t in graph.outputs if tf.as_dtype(t.dtype).is_floating]
        self._outputs = (
            tensors,
            [_CONVERSIONS.get(find_activation(graph, t), _as_it_is) for t in tensors],
        )
        self._scales = [1.0] * len(tensors)
        if len(tensors) > 1:
            values = graph.feed(inputs)
            graph.run_between(values, 0, len(graph.calls))
            spreads = [float(tf.math.reduce_std(z)) for z in self(values)]
            # One that is constant says nothing about its scale.
            self._scales = [1 / spread if spread > 0 else 1.0 for spread in spreads]

    def __call__(self, values):
        """Returns the outputs, float32 tensors, a list.

        Args:
            values: Dict: symbolic tensor -> value, at the end of the network.
        """
        return [
            convert(tf.cast(values[tensor], tf.float32)) * scale
            for tensor, convert, scale in zip(*self._outputs, self._scales, strict=True)
        ]


def _as_it_is(outputs):
    return outputs


def _softmax_logits(outputs):
    logits = tf.math.log(outputs + _EPSILON)
    return logits - tf.reduce_mean(logits, axis=-1, keepdims=True)


def _sigmoid_logits(outputs):
    return tf.math.log(outputs + _EPSILON) - tf.math.log(1 - outputs + _EPSILON)


_CONVERSIONS = {"softmax": _softmax_logits, "sigmoid": _sigmoid_logits}
