"""Normalizations: by statistics of each channel, or over the channels that there are.

Where the statistics are over the channels, the masked form takes them over those that
are there, as the smaller layer will.
"""

import numpy as np
from keras import layers, ops

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import (
    keep,
    normalize,
    pass_across,
    pass_outside,
)
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import count_kept


class BatchNormalizationType(DeclaredType):
    """A `BatchNormalization`: moving statistics of each channel."""

    def unfit(self, call):
        return _axis_not_last(call)

    def normalizes_channels(self, call):
        return _axis_not_last(call) is None


class LayerNormalizationType(DeclaredType):
    """A `LayerNormalization`: statistics of each example, over the channels."""

    def unfit(self, call):
        return _axes_without_last(call)

    def masked(self, operation, masks, inputs):
        inputs = _to_float32(operation, inputs)
        axes = _axes_of(operation)
        # Removed channels get some value too; whoever reads them has a mask for them.
        mean, variance = _moments(inputs, masks[0].along(inputs), axes)
        outputs = inputs if operation.rms_scaling else inputs - mean
        outputs = outputs * ops.rsqrt(variance + operation.epsilon)
        return ops.cast(_scale(operation, outputs), operation.compute_dtype)


class RMSNormalizationType(DeclaredType):
    """An `RMSNormalization`: the root mean square of each example's channels."""

    def unfit(self, call):
        return _axes_without_last(call)

    def masked(self, operation, masks, inputs):
        inputs = _to_float32(operation, inputs)
        axes = _axes_of(operation)
        # Spread over all axes, as the norm may be over more than the channels.
        there = masks[0].along(inputs) * ops.ones_like(inputs)
        count = ops.maximum(ops.sum(there, axes, keepdims=True), 1.0)
        square = ops.sum(inputs * inputs * there, axes, keepdims=True) / count
        outputs = inputs * ops.rsqrt(square + operation.epsilon)
        outputs = outputs * ops.cast(operation.scale, inputs.dtype)
        return ops.cast(outputs, operation.compute_dtype)


class GroupNormalizationType(DeclaredType):
    """A `GroupNormalization`: statistics of each example, over groups of channels."""

    def flow(self, call, channels):
        """Every group loses the same positions, or whole groups are removed."""
        ids, groups = channels.ids(call.inputs[0]), call.operation.groups
        # by_group[g, p] is place p of group g.
        by_group = ids.reshape(groups, -1)
        reason = f"{channels.quote(call)} groups it with channels"
        if _shrinks_each_group(len(ids), groups):
            for others in by_group[1:]:
                channels.tie(by_group[0], others, reason)
            return normalize(call, channels)
        # A group that is kept has all its channels, so its statistics are the same, and
        # no masked form is needed.
        for others in by_group.T[1:]:
            channels.tie(by_group[:, 0], others, reason)
        return keep(call, channels)

    def resize(self, config, kept):
        num_channels, groups = len(kept["i"]), config["groups"]
        if not _shrinks_each_group(num_channels, groups):
            config["groups"] = count_kept(kept["i"]) // (num_channels // groups)

    def unfit(self, call):
        return _axis_not_last(call)

    def masked(self, operation, masks, inputs):
        inputs = _to_float32(operation, inputs)
        groups = operation.groups, inputs.shape[-1] // operation.groups

        def split(tensor):
            # (..., groups, channels of a group).
            shape = ops.shape(tensor)
            return ops.reshape(tensor, (*shape[:-1], *groups))

        mask = split(masks[0].along(inputs))
        split_inputs = split(inputs)
        rank = len(split_inputs.shape)
        # All but the batch and the groups.
        axes = [*range(1, rank - 2), rank - 1]
        mean, variance = _moments(split_inputs, mask, axes)
        outputs = (split_inputs - mean) * ops.rsqrt(variance + operation.epsilon)
        outputs = _scale(operation, ops.reshape(outputs, ops.shape(inputs)))
        return ops.cast(outputs, operation.compute_dtype)


class UnitNormalizationType(DeclaredType):
    """A `UnitNormalization`, which has no weights: over any axes of an example.

    A norm is that of what it reads, whether a channel is zero or not there.
    """

    def flow(self, call, channels):
        # Over other axes than the channels', each channel is by itself.
        outside = _axes_without_last(call) is not None
        return (keep if outside else normalize)(call, channels)

    def unfit(self, call):
        axes = np.atleast_1d(call.operation.axis) % len(call.inputs[0].shape)
        return "normalizes over the examples" if 0 in axes else None


class NormalizationType(DeclaredType):
    """A preprocessing `Normalization`: statistics that `adapt` found, or constants."""

    def weights(self, operation):
        letter = "i" if _tells_channels_apart(operation) else "."
        letters = {"mean": letter, "variance": letter, "count": ""}
        return [(weight, letters.get(weight.name)) for weight in operation.weights]

    def resize(self, config, kept):
        for name in ("mean", "variance"):
            value = np.array(config[name])
            # What all channels share is the same for fewer of them.
            if value.ndim and value.shape[-1] == len(kept["i"]):
                config[name] = np.compress(kept["i"], value, axis=-1).tolist()

    def unfit(self, call):
        operation = call.operation
        given = operation.input_mean is not None and np.ndim(operation.input_mean)
        if given and not _tells_channels_apart(operation):
            return "has an array of constants that is not one number for each channel"
        return None


def _axis_not_last(call):
    axis, rank = call.operation.axis, len(call.inputs[0].shape)
    return None if axis in (-1, rank - 1) else _describe_axes(axis)


def _axes_without_last(call):
    axes, rank = np.atleast_1d(call.operation.axis), len(call.inputs[0].shape)
    return None if rank - 1 in axes % rank else _describe_axes(axes.tolist())


def _describe_axes(axes):
    return f"normalizes axis {axes}, not that of the channels, the last one"


def _axes_of(layer):
    return [int(axis) for axis in np.atleast_1d(layer.axis)]


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


def _scale(layer, outputs):
    if layer.gamma is not None:
        outputs = outputs * ops.cast(layer.gamma, outputs.dtype)
    if layer.beta is not None:
        outputs = outputs + ops.cast(layer.beta, outputs.dtype)
    return outputs


def _shrinks_each_group(num_channels, groups):
    """Returns whether all groups are kept and shrink; else whole groups are removed.

    Both are exact. There are as many units to choose from as channels in a group, or
    as groups: the larger number is taken.
    """
    return num_channels // groups >= groups


def _tells_channels_apart(operation):
    """Returns whether a `Normalization` has statistics of each channel."""
    rank = len(operation.mean.shape)
    return rank - 1 in np.array(operation.axis, int) % rank


_pass_outside_axis = pass_outside(lambda operation: operation.axis)
_AFFINE = {"gamma": "i", "beta": "i"}
LAYER_TYPES |= {
    layers.BatchNormalization: BatchNormalizationType(
        keep,
        weights=_AFFINE | {"moving_mean": "i", "moving_variance": "i"},
        across=pass_across,
    ),
    layers.LayerNormalization: LayerNormalizationType(
        normalize, weights=_AFFINE, across=_pass_outside_axis
    ),
    layers.GroupNormalization: GroupNormalizationType(normalize, weights=_AFFINE),
    layers.UnitNormalization: UnitNormalizationType(
        normalize, across=_pass_outside_axis
    ),
    layers.Normalization: NormalizationType(keep),
}
if hasattr(layers, "RMSNormalization"):  # since Keras 3.9
    LAYER_TYPES[layers.RMSNormalization] = RMSNormalizationType(
        normalize, weights={"scale": "i"}, across=_pass_outside_axis
    )
