"""Softmax: over the channels that there are, or over other axes."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.flows import keep, normalize
from keras_shapley_prune.layer_types.registry import OPERATION_SPECS, SPECS, LayerSpec


def _axes(operation, rank):
    return np.atleast_1d(range(rank) if operation.axis is None else operation.axis)


def _flow(call, channels):
    rank = len(call.inputs[0].shape)
    over_channels = rank - 1 in _axes(call.operation, rank) % rank
    return normalize(call, channels) if over_channels else keep(call, channels)


def _mask_logits(operation, masks, inputs, mask=None):
    """The masked form: a channel that is not there has no share in the sum."""
    # Finite, as there may be no channel at all.
    never = -3e4 if keras.backend.standardize_dtype(inputs.dtype) == "float16" else -1e9
    there = masks[0].along(inputs)
    return operation(inputs + (1 - there) * keras.ops.cast(never, inputs.dtype))


def _unfit(call):
    return "is given a mask" if len(call.inputs) > 1 else None


SPECS[layers.Softmax] = LayerSpec(_flow, unfit=_unfit, masked=_mask_logits)
OPERATION_SPECS["Softmax"] = LayerSpec(_flow, unfit=_unfit, masked=_mask_logits)
