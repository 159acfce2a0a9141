"""Flows: which unit sits at each position of an output's channel axis.

Each is a function `fn(call, channels)` of a recorded `Call` and the `ChannelTracer` at
work, and returns the unit ids of what the call returns: an array, or a list of arrays,
one for each output.
"""

from keras_shapley_prune.layer_types.flows.across import (
    only_last,
    pass_across,
    pass_outside,
)
from keras_shapley_prune.layer_types.flows.axes import (
    along,
    insert,
    pad,
    permute,
    reduce_channels,
    remove,
)
from keras_shapley_prune.layer_types.flows.grouped import (
    leaves_whole_groups,
    mix_groups,
)
from keras_shapley_prune.layer_types.flows.joins import (
    concatenate,
    cut_constants,
    join,
    join_cut,
    join_halves,
    stack,
)
from keras_shapley_prune.layer_types.flows.layers import (
    expand,
    keep,
    look_up,
    mix,
    normalize,
)
from keras_shapley_prune.layer_types.flows.products import (
    dot_letters,
    einsum_letters,
    matmul_letters,
    multiply,
)
from keras_shapley_prune.layer_types.flows.reshaping import (
    depth_to_space,
    extract_patches,
    reshape,
    space_to_depth,
)
from keras_shapley_prune.layer_types.flows.slicing import (
    broadcast,
    narrow_take,
    repeat,
    split,
    take,
    tile,
)
from keras_shapley_prune.layer_types.flows.subscripts import (
    narrow_slice,
    slice_channels,
)

# By these names users say what a layer of their own does: to the last axis, that is.
FLOWS = {"mix": mix, "keep": keep, "expand": expand} | {
    function.__name__: only_last(function) for function in (join, concatenate, reshape)
}

__all__ = [
    "FLOWS",
    "along",
    "broadcast",
    "concatenate",
    "cut_constants",
    "depth_to_space",
    "dot_letters",
    "einsum_letters",
    "expand",
    "extract_patches",
    "insert",
    "join",
    "join_cut",
    "join_halves",
    "keep",
    "leaves_whole_groups",
    "look_up",
    "matmul_letters",
    "mix",
    "mix_groups",
    "multiply",
    "narrow_slice",
    "narrow_take",
    "normalize",
    "only_last",
    "pad",
    "pass_across",
    "pass_outside",
    "permute",
    "reduce_channels",
    "remove",
    "repeat",
    "reshape",
    "slice_channels",
    "space_to_depth",
    "split",
    "stack",
    "take",
    "tile",
]
