"""The ReLU behind a linear layer: which of the layer's outputs come to the same."""

import numpy as np

from keras_shapley_prune.layer_types.bias_folding import ends_linear, find_normalization
from keras_shapley_prune.layer_types.elementwise_activations import find_ceiling
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.skip_compensation import SkipCompensation, find_scale


class Rectifier:
    """Where a ReLU is flat, in units of what the layer before it returns.

    The ReLU reads `scale * (z + s) + shift`, where z is what the layer returns, scale
    and shift are those of a BatchNormalization, and s is what a skip connection adds,
    divided by the scale. Of all sums z + s up to `low` it makes the same, and of all
    from `high` on. With a negative scale, it is the upper side that becomes 0.

    Args:
        low: Float array, shape `(num_outputs,)`, minus infinity where that side is not
            flat.
        high: Float array, shape `(num_outputs,)`, infinity where it is not.
    """

    def __init__(self, low, high):
        self.low, self.high = (np.asarray(a, "float32") for a in (low, high))
        self._has_high = bool(np.isfinite(self.high).any())

    def of(self, outputs):
        """Returns the `Rectifier` of some outputs.

        Args:
            outputs: Integer array.
        """
        return Rectifier(self.low[outputs], self.high[outputs])

    def aim(self, sums, wanted):
        """Returns the nearest sums of which the ReLU makes what it should.

        Beyond the edge of a flat side that is any sum there. So the squared distance
        to them is convex in the sums. Elsewhere it is what is wanted itself, also if
        the sum lies on a flat side.

        Args:
            sums: Float32 array, shape `(rows, num_outputs)`, what is reached.
            wanted: Float32 array of that shape, the sums in the original.
        """
        low, high = self.low, self.high
        aim = np.where(wanted <= low, np.minimum(sums, low), wanted)
        if self._has_high:
            aim = np.where(wanted >= high, np.maximum(sums, high), aim)
        return aim


def find_rectifier(graph, call, find_masks):
    """Returns the `Rectifier` of a layer's outputs, if they go to a ReLU alone.

    The ReLU is the layer's own activation; or it follows, behind a BatchNormalization,
    an addition that the layer makes up for, both, or neither. What is read by something
    else, or returned by the model, has to be right itself.

    Args:
        graph: The recorded `Graph` of the network that is repaired.
        call: A `Call` of a layer that has a `LinearForm`.
        find_masks: The `find_masks` of that network.

    Returns:
        A `Rectifier`, or `None`: also of a layer that is called more than once.
    """
    if len(graph.calls_of(call.operation)) > 1:
        return None
    if not ends_linear(call.operation):
        return _make_rectifier(find_ceiling(call.operation.activation), call, None)
    normalization, tensor = find_normalization(graph, call), call.outputs[0]
    if normalization is not None:
        tensor = normalization.outputs[0]
    addition = SkipCompensation(graph, call, find_masks).addition
    if addition is not None:
        tensor = addition.outputs[0]
    readers = graph.consumers().get(tensor, [])
    if tensor in graph.outputs or len(readers) != 1:
        return None
    ceiling = find_ceiling(readers[0].operation)
    return _make_rectifier(ceiling, call, normalization and normalization.operation)


def _make_rectifier(ceiling, call, normalization):
    if ceiling is None:
        return None
    if normalization is None:
        num_outputs = find_linear_form(call.operation).matrix.shape[1]
        return Rectifier(np.zeros(num_outputs), np.full(num_outputs, ceiling))
    scale, usable = (tensor.numpy() for tensor in find_scale(normalization))
    beta = normalization.beta.numpy() if normalization.center else 0
    shift = beta - normalization.moving_mean.numpy().astype("float32") * scale
    divisor = np.where(usable, scale, 1)
    floor, top = -shift / divisor, (ceiling - shift) / divisor
    rising = scale > 0
    low, high = np.where(rising, floor, top), np.where(rising, top, floor)
    # A channel that is all but switched off is fitted as if no ReLU followed.
    return Rectifier(np.where(usable, low, -np.inf), np.where(usable, high, np.inf))
