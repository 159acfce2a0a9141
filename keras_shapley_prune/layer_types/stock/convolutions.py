"""Convolutions."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.convolution_forms import (
    ConvolutionForm,
    SeparableForm,
    TransposedForm,
)
from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.depthwise_forms import (
    DepthwiseForm,
    GroupedDepthwiseForm,
)
from keras_shapley_prune.layer_types.flows import (
    expand,
    leaves_whole_groups,
    mix,
    mix_groups,
)
from keras_shapley_prune.layer_types.layer_type import count_positions
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import FIXED, count_kept


class ConvolutionType(DeclaredType):
    """A convolution, in groups or not.

    The kernel's input axis, letter "c", has the channels of one group.
    """

    def letters(self, call, ids):
        inputs = ids["i"][: len(ids["i"]) // call.operation.groups]
        # Where whole groups are removed, those that are kept keep all of it.
        if leaves_whole_groups(call, ids["i"]):
            inputs = np.full(len(inputs), FIXED)
        return {"c": inputs}

    def resize(self, config, kept):
        config["filters"] = count_kept(kept["o"])
        # "c" are the channels that are kept within one group.
        config["groups"] = count_kept(kept["i"]) // count_kept(kept["c"])

    def linear_form(self, operation):
        return None if _is_depthwise(operation) else ConvolutionForm(operation)

    def depthwise_form(self, operation):
        return GroupedDepthwiseForm(operation) if _is_depthwise(operation) else None


def _is_depthwise(operation):
    """Returns whether each group has one channel: that is depthwise."""
    return operation.groups > 1 and operation.kernel.shape[-2] == 1


class TransposedType(DeclaredType):
    """A transposed convolution: each input position is multiplied with the kernel."""

    def positions(self, call):
        return count_positions(call.inputs[0].shape[1:-1])

    def linear_form(self, operation):
        return TransposedForm(operation)


class DepthwiseType(DeclaredType):
    """A depthwise convolution."""

    def depthwise_form(self, operation):
        return DepthwiseForm(operation)


class SeparableType(DeclaredType):
    """A depthwise convolution and a pointwise one in one layer.

    Between them, letter "m", are the input's channels, `depth_multiplier` times each.
    """

    def letters(self, call, ids):
        return {"m": np.repeat(ids["i"], call.operation.depth_multiplier)}

    def linear_form(self, operation):
        return SeparableForm(operation)


for rank in (1, 2, 3):
    LAYER_TYPES[getattr(layers, f"Conv{rank}D")] = ConvolutionType(
        mix_groups, weights={"kernel": "co", "bias": "o"}
    )
    LAYER_TYPES[getattr(layers, f"Conv{rank}DTranspose")] = TransposedType(
        mix, size="filters", weights={"kernel": "oi", "bias": "o"}
    )
for rank in (1, 2):
    LAYER_TYPES[getattr(layers, f"DepthwiseConv{rank}D")] = DepthwiseType(
        expand, weights={"kernel": "i.", "bias": "o"}
    )
    LAYER_TYPES[getattr(layers, f"SeparableConv{rank}D")] = SeparableType(
        mix,
        size="filters",
        weights={"depthwise_kernel": "i.", "pointwise_kernel": "mo", "bias": "o"},
    )
