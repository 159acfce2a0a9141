"""What repair does behind a removed block, foreseen without a fit."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.layer_types.registry import find_form
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.trace.graph import find_dependents

FEWEST_ROWS = 32  # that moments are taken from
_TINY = 1e-6  # beside a variance: a channel that is constant stays so


class MatchedMoments:
    """Brings what linear layers return to the moments of the whole network.

    A repair fits each layer behind a removed block to what it returned before. Most of
    what that mends is that its channels have another mean and another variance.
    A BatchNormalization takes statistics of its own anew, and that is the same; where
    none follows, or it has been folded into the layer, nothing else would. What the
    last layers return is compared as it is.

    Args:
        graph: The recorded `Graph`.
        start: Integer, the first call that depends on a block.
    """

    def __init__(self, graph, start):
        self._graph, self._moments = graph, {}
        linear = [
            call
            for call in graph.calls[start:]
            if find_form(call.operation) is not None
        ]
        indices = {call.index for call in linear}
        self._calls = {
            call.index
            for call in linear
            if find_normalization(graph, call) is None
            and len(indices.intersection(_find_later(graph, call))) > 1
        }

    def measure(self, inputs):
        """Takes the moments of the whole network.

        Args:
            inputs: List of tensors, the batch that is looked at.
        """
        self._moments = {}
        if not self._calls:
            return
        values = self._graph.feed(inputs)
        for call in self._graph.calls[: max(self._calls) + 1]:
            if call.index in self._calls:
                moments = _moments_of(_apply(call, call.read(values)))
                if moments is not None:
                    self._moments[call.index] = moments
            self._graph.run_between(values, call.index, call.index + 1)

    def applies_to(self, call):
        """Returns whether what a call returns is brought to the moments it had."""
        return call.index in self._moments

    def run(self, call, inputs):
        """Returns what a call returns, with the moments that it had.

        Args:
            call: A `Call` that this applies to.
            inputs: List of tensors, what it reads without some blocks.
        """
        outputs = _apply(call, inputs)
        mean, variance = _moments_of(outputs)
        before, wanted = self._moments[call.index]
        factors = tf.sqrt((wanted + _TINY) / (variance + _TINY))
        outputs = (outputs - mean) * factors + before
        activation = getattr(innermost(call.operation), "activation", None)
        outputs = tf.cast(outputs, call.outputs[0].dtype)
        outputs = outputs if activation is None else activation(outputs)
        steps = getattr(inputs[0], "_keras_mask", None)
        if steps is not None:  # Keras's own masks, of time steps, travel like this
            outputs._keras_mask = steps
        return [outputs]


def _find_later(graph, call):
    """Returns the indices of a call and of those that depend on it, a set."""
    return {later.index for later in find_dependents(graph, {call.index})}


def _apply(call, inputs):
    """Returns what a linear layer returns before its activation, in float32."""
    form = find_form(call.operation)
    read = form.read(call, inputs, {}) if hasattr(form, "read") else inputs[0]
    return form.apply(read)


def _moments_of(outputs):
    """Returns mean and variance of each channel, `None` of too few rows."""
    if int(np.prod(outputs.shape[:-1])) < FEWEST_ROWS:
        return None
    return tf.nn.moments(outputs, list(range(len(outputs.shape) - 1)))
