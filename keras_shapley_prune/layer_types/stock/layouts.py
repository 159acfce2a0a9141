"""How each operation is re-made where the axes of what it reads are in another order.

The table of `to_channels_last`: a rule for each type, see `layouts/`. A type
without one reads what it did in the original.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.layouts import (
    any_order,
    axes,
    data_formats,
    reshaping,
    weights,
    wrapped,
)
from keras_shapley_prune.layer_types.layouts.orders import arrange
from keras_shapley_prune.layer_types.stock.raw_elementwise import OF_ONE, OF_SEVERAL
from keras_shapley_prune.layer_types.subclasses import find_unchanged_parent

LAYER_RULES = {}  # layer class -> rule
OPERATION_RULES = {}  # name of one of Keras's own raw operations -> rule


_RESHAPING = {reshaping.reshape, reshaping.reshape_layer}


def reshapes(operation):
    """Returns whether an operation gives a tensor a new shape."""
    return find_rule(operation) in _RESHAPING


def is_dense(operation):
    """Returns whether the neurons of a layer may be reordered."""
    rule = find_rule(operation)
    return rule is weights.weighted_sum and weights.can_reorder_columns(operation)


def passes_rows(operation):
    """Returns whether the entries of what an operation reads may have any order."""
    rule = find_rule(operation)
    return rule in (any_order.elementwise, _dropped, axes.normalization)


def find_rule(operation):
    """Returns the rule of a layer or raw operation, that of the unknown if it has none.

    Args:
        operation: The layer or raw operation.
    """
    kind = type(operation)
    if kind.__module__.startswith(("keras.src.ops.", "keras.src.activations.")):
        return OPERATION_RULES.get(kind.__name__, any_order.by_trial)
    parent = find_unchanged_parent(operation, LAYER_RULES)
    return LAYER_RULES.get(kind, LAYER_RULES.get(parent, any_order.by_trial))


def _dropped(call, placed):
    """Noise of each number, or of a shape that has an entry for each axis."""
    shape, recipe = call.operation.noise_shape, any_order.elementwise(call, placed)
    if shape is None or recipe is None or placed[0].is_as_before:
        return recipe
    if placed[0].rows is not None or len(shape) != placed[0].rank:
        return None
    config = {"noise_shape": arrange(shape, placed[0].order)}
    return dataclasses.replace(recipe, config=config)


def _scaled_sum(call, placed):
    return None if np.ndim(call.operation.scale) else any_order.join(call, placed)


def _by_numbers(call, placed):
    # An array is for the last axis, or the first one.
    values = call.operation.scale, call.operation.offset
    return None if any(map(np.ndim, values)) else any_order.elementwise(call, placed)


def _set_layers(rule, names, ranks=("",)):
    """Gives layer types a rule, those that this version of Keras has.

    Args:
        rule: The rule.
        names: String, the names, with spaces between them.
        ranks: Sequence of strings that may end a name.
    """
    for name in names.split():
        for rank in ranks:
            if hasattr(layers, f"{name}{rank}"):
                LAYER_RULES[getattr(layers, f"{name}{rank}")] = rule


_RANKS = "1D", "2D", "3D"
_set_layers(
    data_formats.in_format,
    """Conv DepthwiseConv SeparableConv MaxPooling AveragePooling GlobalMaxPooling
    GlobalAveragePooling AdaptiveMaxPooling AdaptiveAveragePooling ZeroPadding Cropping
    UpSampling SpatialDropout""",
    _RANKS,
)
_set_layers(data_formats.in_format, "Conv", [f"{rank}Transpose" for rank in _RANKS])
_set_layers(
    data_formats.in_format,
    """CenterCrop Resizing RandomCrop RandomFlip RandomPerspective RandomRotation
    RandomTranslation RandomZoom""",
)
_set_layers(data_formats.over_time, "ConvLSTM", _RANKS)
_set_layers(wrapped.at_each_step(find_rule), "TimeDistributed")
_set_layers(wrapped.both_directions, "Bidirectional")
_set_layers(
    any_order.elementwise,
    """Activation ActivityRegularization ELU GaussianDropout GaussianNoise Identity
    LeakyReLU ReLU""",
)
_set_layers(_dropped, "Dropout AlphaDropout")
_set_layers(_by_numbers, "Rescaling")
_set_layers(any_order.join, "Add Subtract Multiply Average Maximum Minimum")
_set_layers(axes.concatenate, "Concatenate")
_set_layers(axes.softmax, "Softmax UnitNormalization")
_set_layers(
    axes.normalization,
    "BatchNormalization LayerNormalization Normalization RMSNormalization",
)
_set_layers(axes.along, "GroupNormalization")
_set_layers(weights.weighted_sum, "Dense")
_set_layers(weights.with_slopes, "PReLU")
_set_layers(reshaping.flatten, "Flatten")
_set_layers(reshaping.reshape_layer, "Reshape")
_set_layers(reshaping.transposition, "Permute")


# x + scale * y, which Keras does not export.
_scaled = keras.applications.InceptionResNetV2.__globals__.get("CustomScaleLayer")
if _scaled is not None:
    LAYER_RULES[_scaled] = _scaled_sum


def _set_operations(rule, names):
    OPERATION_RULES.update(dict.fromkeys(names, rule))


_set_operations(any_order.elementwise, [*OF_ONE, "Relu", "Relu6", "Sigmoid", "ReLU"])
_set_operations(any_order.elementwise, ["Clip", "NanToNum", "Threshold"])
_set_operations(any_order.join, [*OF_SEVERAL, "Add", "Where"])
_set_operations(axes.concatenate, ["Concatenate"])
_set_operations(axes.softmax, ["Softmax", "LogSoftmax"])
_set_operations(
    axes.along,
    "ArraySplit Cumprod Cumsum Diff Flip Glu Repeat Roll Sort Split".split(),
)
_set_operations(
    axes.reduction,
    """All Amax Amin Any Argmax Argmin CountNonzero Logsumexp Max Mean Median Min
    Nanmax Nanmean Nanmin Nansum Prod Std Sum Var""".split(),
)
_set_operations(
    data_formats.in_format,
    "AdaptiveAveragePool AdaptiveMaxPool AveragePool MaxPool".split(),
)
_set_operations(data_formats.in_format, ["GaussianBlur", "Resize"])
_set_operations(axes.subscript, ["GetItem"])
_set_operations(reshaping.reshape, ["Reshape", "ExpandDims", "Squeeze"])
_set_operations(reshaping.transposition, ["Transpose", "Swapaxes", "Moveaxis"])
