"""Raw operations of `keras.ops` that move, reduce or select, by class name."""

import numpy as np

from keras_shapley_prune.layer_types import flows
from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.registry import OPERATION_TYPES
from keras_shapley_prune.layer_types.stock.constants import forbid_array_arguments, lock
from keras_shapley_prune.layer_types.stock.joins import TargetType
from keras_shapley_prune.layer_types.unit_ids import (
    count_kept,
    has_units,
    letter_of,
)


class SubscriptType(DeclaredType):
    """A subscript: what it is called with tells the channels by number."""

    def resize_call(self, args, kwargs, kept):
        return flows.narrow_slice(args, kwargs, kept)


class TakeType(DeclaredType):
    """What takes positions by number. Letter "t": the axis that it takes them from."""

    def letters(self, call, ids):
        rank, axis = len(call.inputs[0].shape), call.operation.axis
        if axis is None:
            return {}
        axis %= rank
        found = ids.get("i" if axis == rank - 1 else letter_of("i", axis, rank))
        return {} if found is None or not has_units(found) else {"t": found}

    def resize_call(self, args, kwargs, kept):
        if "t" not in kept or kept["t"].all():
            return args, kwargs
        tensor, numbers = (*args, *kwargs.values())
        return (tensor, flows.narrow_take(numbers, kept["t"])), {}


class SplitType(DeclaredType):
    """A split. Letters "0", "1" and so on: the channels of each output."""

    def letters(self, call, ids):
        rank = len(call.inputs[0].shape)
        axis = call.operation.axis % rank
        found = ids.get("i" if axis == rank - 1 else letter_of("i", axis, rank))
        if found is None or not has_units(found):
            return {}
        widths = [tensor.shape[axis] for tensor in call.outputs]
        parts = np.split(found, np.cumsum(widths)[:-1])
        return {str(number): part for number, part in enumerate(parts)}

    def resize(self, config, kept):
        # Sorted as numbers, since "10" comes before "9" as text. The config has the
        # boundaries between the parts.
        numbers = sorted((n for n in kept if n.isdigit()), key=int)
        widths = [count_kept(kept[number]) for number in numbers]
        if widths:
            config["indices_or_sections"] = np.cumsum(widths)[:-1].tolist()


def _without_config(call):
    """A smaller one is made from the config, which NumPy's integers do not have."""
    try:
        call.operation.get_config()
    except NotImplementedError:
        return "has arguments that cannot be changed"
    return None


def _array_or_tensor_of_weights(call):
    """An average has to be of its first input only, all of it alike."""
    if len(call.inputs) > 1:
        return "has tensors of weights"
    return forbid_array_arguments(call)


def _transposed(operation, rank):
    order = range(rank)[::-1] if operation.axes is None else operation.axes
    return list(order)


def _swapped(operation, rank):
    order = np.arange(rank)
    pair = [operation.axis1, operation.axis2]
    order[pair] = order[pair[::-1]]
    return order


def _moved(operation, rank):
    # The axes of an array whose lengths are their numbers show where they go.
    numbered = np.broadcast_to(0, range(rank))
    return np.moveaxis(numbered, operation.source, operation.destination).shape


for name in """All Any Argmax Argmin Argsort ArraySplit CountNonzero Cumprod
        Cumsum Diff Flip Logsumexp Median Moments Nanargmax Nanargmin
        Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile
        Nanprod Nanquantile Nanstd Nansum Nanvar Percentile Prod Ptp
        Quantile Roll Sort Std Trapezoid Unstack Var""".split():
    OPERATION_TYPES[name] = DeclaredType(flows.along)
for name in "AveragePool CropImages GaussianBlur MaxPool PadImages Resize".split():
    OPERATION_TYPES[name] = DeclaredType(flows.keep)
OPERATION_TYPES |= {
    "Average": DeclaredType(flows.along, unfit=_array_or_tensor_of_weights),
    "BroadcastTo": TargetType(flows.broadcast, "shape", unfit=_without_config),
    "Concatenate": DeclaredType(flows.concatenate),
    "DepthToSpace": DeclaredType(flows.depth_to_space),
    "ExpandDims": DeclaredType(flows.insert),
    "ExtractPatches": DeclaredType(flows.extract_patches),
    "GetItem": SubscriptType(flows.slice_channels),
    "Moveaxis": DeclaredType(flows.permute(_moved)),
    "Pad": DeclaredType(flows.pad),
    "Repeat": DeclaredType(flows.repeat),
    "Reshape": TargetType(flows.reshape, "newshape", unfit=_without_config),
    "SpaceToDepth": DeclaredType(flows.space_to_depth),
    "Split": SplitType(flows.split, unfit=_without_config),
    "Squeeze": DeclaredType(flows.remove),
    "Stack": DeclaredType(flows.stack),
    "Swapaxes": DeclaredType(flows.permute(_swapped)),
    "Take": TakeType(flows.take),
    "Tile": DeclaredType(flows.tile),
    "Transpose": DeclaredType(flows.permute(_transposed)),
}
for name in "Conv ConvTranspose DepthwiseConv SeparableConv".split():
    OPERATION_TYPES[name] = lock("has a kernel that is not the weight of a layer")
OPERATION_TYPES["BatchNorm"] = lock("has statistics that are not those of a layer")
OPERATION_TYPES["Ravel"] = lock("flattens all examples into one")
