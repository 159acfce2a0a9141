"""Raw operations of `keras.ops` that move, reduce or select, by class name."""

import numpy as np

from keras_shapley_prune.layer_types import flows
from keras_shapley_prune.layer_types.registry import OPERATION_SPECS, LayerSpec
from keras_shapley_prune.layer_types.stock.constants import forbid_array_arguments, lock
from keras_shapley_prune.layer_types.stock.joins import resize_target


def _without_config(call):
    """A smaller one is made from the config, which NumPy's integers do not have."""
    try:
        call.operation.get_config()
    except NotImplementedError:
        return "has arguments that cannot be changed"
    return None


def _parts(call, ids):
    """Letters "0", "1" and so on: the channels of each output of a split."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    if operation.axis % rank != rank - 1:
        return {}
    widths = [tensor.shape[-1] for tensor in call.outputs]
    parts = np.split(ids["i"], np.cumsum(widths)[:-1])
    return {str(number): part for number, part in enumerate(parts)}


def _resize_parts(config, kept):
    widths = [np.count_nonzero(kept[n]) for n in sorted(set(kept) - set("io"), key=int)]
    if widths:
        config["indices_or_sections"] = np.cumsum(widths)[:-1].tolist()


def _several_tensors(call):
    return "has tensors of weights" if len(call.inputs) > 1 else None


for name in """All Amax Amin Any Argmax Argmin Argsort ArraySplit CountNonzero Cumprod
        Cumsum Diff Flip Logsumexp Max Mean Median Min Moments Nanargmax Nanargmin
        Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod
        Nanquantile Nanstd Nansum Nanvar Norm Percentile Prod Ptp Quantile Roll Sort
        Std Sum Trapezoid Unstack Var""".split():
    OPERATION_SPECS[name] = LayerSpec(flows.along)
OPERATION_SPECS["Average"] = LayerSpec(
    flows.along, unfit=lambda c: _several_tensors(c) or forbid_array_arguments(c)
)
for name in "Moveaxis Swapaxes Transpose".split():
    OPERATION_SPECS[name] = LayerSpec(flows.permute)
for name in "AveragePool CropImages GaussianBlur MaxPool PadImages Resize".split():
    OPERATION_SPECS[name] = LayerSpec(flows.keep)
OPERATION_SPECS |= {
    "BroadcastTo": LayerSpec(
        flows.broadcast, size=resize_target("shape"), unfit=_without_config
    ),
    "Concatenate": LayerSpec(flows.concatenate),
    "DepthToSpace": LayerSpec(flows.depth_to_space),
    "ExpandDims": LayerSpec(flows.insert),
    "ExtractPatches": LayerSpec(flows.extract_patches),
    "GetItem": LayerSpec(flows.slice_channels, arguments=flows.narrow_slice),
    "Pad": LayerSpec(flows.pad),
    "Repeat": LayerSpec(flows.repeat),
    "Reshape": LayerSpec(
        flows.reshape, size=resize_target("newshape"), unfit=_without_config
    ),
    "SpaceToDepth": LayerSpec(flows.space_to_depth),
    "Split": LayerSpec(
        flows.split, size=_resize_parts, letters=_parts, unfit=_without_config
    ),
    "Squeeze": LayerSpec(flows.remove),
    "Stack": LayerSpec(flows.stack),
    "Take": LayerSpec(flows.take),
    "Tile": LayerSpec(flows.tile),
}
for name in "Dot Einsum Inner Kron Matmul Outer Tensordot Vdot".split():
    OPERATION_SPECS[name] = lock("mixes the channels of two tensors")
for name in "Conv ConvTranspose DepthwiseConv SeparableConv".split():
    OPERATION_SPECS[name] = lock("has a kernel that is not the weight of a layer")
OPERATION_SPECS["BatchNorm"] = lock("has statistics that are not those of a layer")
OPERATION_SPECS["Ravel"] = lock("flattens all examples into one")
