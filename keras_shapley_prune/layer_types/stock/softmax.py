"""Softmax: over the channels that there are, or over other axes."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.flows import keep, normalize, pass_outside
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registry import LAYER_TYPES, OPERATION_TYPES


class SoftmaxType(LayerType):
    """A softmax, as a layer or as a raw operation."""

    def flow(self, call, channels):
        # Over other axes than the channels', each channel is by itself.
        rank, axis = len(call.inputs[0].shape), call.operation.axis
        axes = np.atleast_1d(range(rank) if axis is None else axis) % rank
        return (normalize if rank - 1 in axes else keep)(call, channels)

    def flow_across(self, call, channels):
        return pass_outside(lambda operation: operation.axis)(call, channels)

    def unfit(self, call):
        return "is given a mask" if len(call.inputs) > 1 else None

    def masked(self, operation, masks, inputs, mask=None):
        """A channel that is not there has no share in the sum."""
        # Finite, as there may be no channel at all.
        half = keras.backend.standardize_dtype(inputs.dtype) == "float16"
        never = -3e4 if half else -1e9
        there = masks[0].along(inputs)
        return operation(inputs + (1 - there) * keras.ops.cast(never, inputs.dtype))

    def output_activation(self, operation):
        return "softmax"


class LogSoftmaxType(SoftmaxType):
    """The logarithm of a softmax: what it returns are no probabilities."""

    def output_activation(self, operation):
        return None


LAYER_TYPES[layers.Softmax] = OPERATION_TYPES["Softmax"] = SoftmaxType()
OPERATION_TYPES["LogSoftmax"] = LogSoftmaxType()
