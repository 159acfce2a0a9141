"""Normalizations: by statistics of each channel, or over the channels that there are.

Where the statistics are over the channels, the masked form takes them over those that
are there, as the smaller layer will.
"""

import numpy as np
from keras import layers, ops

from keras_shapley_prune.layer_types.flows import keep, normalize
from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec


def _axis_not_last(call):
    axis, rank = call.operation.axis, len(call.inputs[0].shape)
    return None if axis in (-1, rank - 1) else f"normalizes axis {axis}"


def _axes_without_last(call):
    axes, rank = np.atleast_1d(call.operation.axis), len(call.inputs[0].shape)
    return None if rank - 1 in axes % rank else f"normalizes axis {axes.tolist()}"


def _moments(inputs, mask, axes):
    """Returns mean and variance of the channels that are there."""
    there = mask * ops.ones_like(inputs)
    count = ops.maximum(ops.sum(there, axes, keepdims=True), 1.0)  # 0 if none is there
    mean = ops.sum(inputs * there, axes, keepdims=True) / count
    centered = (inputs - mean) * there
    return mean, ops.sum(centered * centered, axes, keepdims=True) / count


def _to_float32(layer, inputs):
    """Returns what a layer computes its statistics of."""
    inputs = ops.cast(inputs, layer.compute_dtype) if layer.autocast else inputs
    dtype = inputs.dtype
    return ops.cast(inputs, "float32") if "16" in str(dtype) else inputs


def _normalize_layer(layer, masks, inputs):
    """The masked form of `LayerNormalization`."""
    inputs = _to_float32(layer, inputs)
    axes = [int(axis) for axis in np.atleast_1d(layer.axis)]
    mean, variance = _moments(inputs, masks[0].along(inputs), axes)
    outputs = inputs if layer.rms_scaling else inputs - mean
    outputs = outputs * ops.rsqrt(variance + layer.epsilon)
    return ops.cast(_scale(layer, outputs), layer.compute_dtype)


def _normalize_root_mean_square(layer, masks, inputs):
    """The masked form of `RMSNormalization`."""
    inputs = _to_float32(layer, inputs)
    axes = [int(axis) for axis in np.atleast_1d(layer.axis)]
    there = masks[0].along(inputs) * ops.ones_like(inputs)
    count = ops.maximum(ops.sum(there, axes, keepdims=True), 1.0)
    square = ops.sum(inputs * inputs * there, axes, keepdims=True) / count
    outputs = inputs * ops.rsqrt(square + layer.epsilon)
    return ops.cast(outputs * ops.cast(layer.scale, inputs.dtype), layer.compute_dtype)


def _normalize_groups(layer, masks, inputs):
    """The masked form of `GroupNormalization`."""
    inputs = _to_float32(layer, inputs)
    groups = layer.groups, inputs.shape[-1] // layer.groups

    def split(tensor):
        shape = ops.shape(tensor)
        return ops.reshape(tensor, (*shape[:-1], *groups))

    mask = split(masks[0].along(inputs))
    split_inputs = split(inputs)
    rank = len(split_inputs.shape)
    axes = [*range(1, rank - 2), rank - 1]
    mean, variance = _moments(split_inputs, mask, axes)
    outputs = (split_inputs - mean) * ops.rsqrt(variance + layer.epsilon)
    outputs = _scale(layer, ops.reshape(outputs, ops.shape(inputs)))
    return ops.cast(outputs, layer.compute_dtype)


def _scale(layer, outputs):
    if layer.gamma is not None:
        outputs = outputs * ops.cast(layer.gamma, outputs.dtype)
    if layer.beta is not None:
        outputs = outputs + ops.cast(layer.beta, outputs.dtype)
    return outputs


def _normalizes_within_groups(num_channels, groups):
    """Whether the groups stay and shrink; else whole groups leave.

    Both are exact, and there are as many units to choose from as channels in a group,
    or as groups.
    """
    return num_channels // groups >= groups


def _group(call, channels):
    """Every group loses the same positions, or whole groups leave."""
    ids, groups = channels.ids(call.inputs[0]), call.operation.groups
    by_group = ids.reshape(groups, -1)
    reason = f"{channels.quote(call)} groups it with channels"
    if _normalizes_within_groups(len(ids), groups):
        for others in by_group[1:]:
            channels.tie(by_group[0], others, reason)
        return normalize(call, channels)
    for others in by_group.T[1:]:
        channels.tie(by_group[:, 0], others, reason)
    return keep(call, channels)


def _count_groups(config, kept):
    num_channels, groups = len(kept["i"]), config["groups"]
    if not _normalizes_within_groups(num_channels, groups):
        size = num_channels // groups
        config["groups"] = int(np.count_nonzero(kept["i"])) // size


def _tells_channels_apart(operation):
    """Returns whether a `Normalization` has statistics of each channel."""
    rank = len(operation.mean.shape)
    return rank - 1 in np.array(operation.axis, int) % rank


def _constants_of_other_axes(call):
    operation = call.operation
    given = operation.input_mean is not None and np.ndim(operation.input_mean)
    if given and not _tells_channels_apart(operation):
        return "has an array of constants that are not one a channel"
    return None


def _name_statistics_axes(operation):
    letter = "i" if _tells_channels_apart(operation) else "."
    letters = {"mean": letter, "variance": letter, "count": ""}
    return [(weight, letters.get(weight.name)) for weight in operation.weights]


def _cut_statistics(config, kept):
    for name in ("mean", "variance"):
        value = np.array(config[name])
        if value.ndim and value.shape[-1] == len(kept["i"]):
            config[name] = np.compress(kept["i"], value, axis=-1).tolist()


SPECS[layers.BatchNormalization] = LayerSpec(
    keep,
    weights=dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), "i"),
    unfit=_axis_not_last,
)
SPECS[layers.LayerNormalization] = LayerSpec(
    normalize,
    weights={"gamma": "i", "beta": "i"},
    unfit=_axes_without_last,
    masked=_normalize_layer,
)
SPECS[layers.GroupNormalization] = LayerSpec(
    _group,
    size=_count_groups,
    weights={"gamma": "i", "beta": "i"},
    unfit=_axis_not_last,
    masked=_normalize_groups,
)
# Its norm is that of what it reads, whether a channel is zero or not there.
SPECS[layers.UnitNormalization] = LayerSpec(normalize, unfit=_axes_without_last)
if hasattr(layers, "RMSNormalization"):  # since Keras 3.9
    SPECS[layers.RMSNormalization] = LayerSpec(
        normalize,
        weights={"scale": "i"},
        unfit=_axes_without_last,
        masked=_normalize_root_mean_square,
    )
SPECS[layers.Normalization] = LayerSpec(
    keep,
    size=_cut_statistics,
    weights=_name_statistics_axes,
    unfit=_constants_of_other_axes,
)
