"""Flows: which unit sits at each position of an output's channel axis.

Each is a function `fn(call, channels)` of a recorded `Call` and the `ChannelTracer` at
work, and returns the unit ids of what the call returns: an array, or a list of arrays,
one for each output.
"""

from keras_shapley_prune.layer_types.flows.axes import (
    along,
    insert,
    pad,
    permute,
    remove,
)
from keras_shapley_prune.layer_types.flows.grouped import (
    leaves_whole_groups,
    mix_groups,
)
from keras_shapley_prune.layer_types.flows.joins import (
    concatenate,
    join,
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
from keras_shapley_prune.layer_types.flows.reshaping import (
    depth_to_space,
    extract_patches,
    reshape,
    space_to_depth,
)
from keras_shapley_prune.layer_types.flows.slicing import (
    broadcast,
    narrow_slice,
    repeat,
    slice_channels,
    split,
    take,
    tile,
)

FLOWS = {
    function.__name__: function
    for function in (mix, keep, expand, join, concatenate, reshape)
}

__all__ = [
    "FLOWS",
    "along",
    "broadcast",
    "concatenate",
    "depth_to_space",
    "expand",
    "extract_patches",
    "insert",
    "join",
    "join_halves",
    "keep",
    "leaves_whole_groups",
    "look_up",
    "mix",
    "mix_groups",
    "narrow_slice",
    "normalize",
    "pad",
    "permute",
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
