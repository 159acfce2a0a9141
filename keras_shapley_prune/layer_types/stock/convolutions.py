"""Convolutions."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.convolution_forms import (
    ConvolutionForm,
    SeparableForm,
    TransposedForm,
)
from keras_shapley_prune.layer_types.flows import (
    expand,
    leaves_whole_groups,
    mix,
    mix_groups,
)
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec
from keras_shapley_prune.layer_types.unit_ids import FIXED


def _one_group(call, ids):
    """Letter "c": the kernel's input axis, the channels of one group.

    All of them stay where groups leave whole.
    """
    inputs = ids["i"][: len(ids["i"]) // call.operation.groups]
    if leaves_whole_groups(call, ids["i"]):
        inputs = np.full(len(inputs), FIXED)
    return {"c": inputs}


def _resize_groups(config, kept):
    config["filters"] = int(np.count_nonzero(kept["o"]))
    config["groups"] = int(np.count_nonzero(kept["i"]) // np.count_nonzero(kept["c"]))


def _multiply(call, ids):
    """Letter "m": the input's channels, `depth_multiplier` times each."""
    return {"m": np.repeat(ids["i"], call.operation.depth_multiplier)}


def _find_form(operation):
    """Returns no form where each group has one channel: that is depthwise."""
    alone = operation.groups > 1 and operation.kernel.shape[-2] == 1
    return None if alone else ConvolutionForm(operation)


for name in "Conv1D Conv2D Conv3D".split():
    SPECS[getattr(layers, name)] = LayerSpec(
        mix_groups,
        size=_resize_groups,
        weights={"kernel": "co", "bias": "o"},
        letters=_one_group,
        linear_form=_find_form,
    )
for name in "Conv1DTranspose Conv2DTranspose Conv3DTranspose".split():
    SPECS[getattr(layers, name)] = LayerSpec(
        mix,
        size="filters",
        weights={"kernel": "oi", "bias": "o"},
        linear_form=TransposedForm,
    )
for name in "DepthwiseConv1D DepthwiseConv2D".split():
    SPECS[getattr(layers, name)] = LayerSpec(
        expand, weights={"kernel": "i.", "bias": "o"}
    )
for name in "SeparableConv1D SeparableConv2D".split():
    SPECS[getattr(layers, name)] = LayerSpec(
        mix,
        size="filters",
        weights={"depthwise_kernel": "i.", "pointwise_kernel": "mo", "bias": "o"},
        letters=_multiply,
        linear_form=SeparableForm,
    )
