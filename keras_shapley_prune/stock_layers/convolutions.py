"""Convolutions."""

import numpy as np
from keras import layers

from keras_shapley_prune.flows import expand, mix
from keras_shapley_prune.layer_specs import SPECS, LayerSpec
from keras_shapley_prune.linear_forms import (
    ConvolutionForm,
    SeparableForm,
    TransposedForm,
)


def _grouped(call):
    groups = getattr(call.operation, "groups", 1)
    return f"has groups={groups}" if groups != 1 else None


def _multiply(call, ids):
    """Letter "m": the input's channels, `depth_multiplier` times each."""
    return {"m": np.repeat(ids["i"], call.operation.depth_multiplier)}


SPECS[layers.Conv2D] = LayerSpec(
    mix,
    size="filters",
    weights={"kernel": "..io", "bias": "o"},
    unfit=_grouped,
    linear_form=ConvolutionForm,
)
SPECS[layers.Conv2DTranspose] = LayerSpec(
    mix,
    size="filters",
    weights={"kernel": "..oi", "bias": "o"},
    linear_form=TransposedForm,
)
SPECS[layers.DepthwiseConv2D] = LayerSpec(
    expand, weights={"kernel": "..i.", "bias": "o"}
)
SPECS[layers.SeparableConv2D] = LayerSpec(
    mix,
    size="filters",
    weights={"depthwise_kernel": "..i.", "pointwise_kernel": "..mo", "bias": "o"},
    letters=_multiply,
    linear_form=SeparableForm,
)
