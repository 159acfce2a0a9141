"""Flows of what moves channels to positions, and back."""

import math

import numpy as np

from keras_shapley_prune.layer_types.flows.blocks import match_blocks


def reshape(call, channels):
    """Follows every channel through a row-major reshape.

    Units that end up at one position of an axis of the output are tied, so that the
    reshape is possible whichever of them are removed. Where an axis with units is
    split, they are on the one axis on which nothing has to be tied; else on that of
    the heads, if what is split is multiplied with another tensor head by head; else on
    the last one.
    """
    tensor, output, found = call.inputs[0], call.outputs[0], {}
    axes = channels.axes(tensor)
    for ins, outs in match_blocks(tensor.shape, output.shape):
        held = [axis for axis in ins if axis in axes]
        held = [axis for axis in held if channels.may_go(axes[axis])] or held
        for axis in held[:-1]:
            reason = f"{channels.quote(call)} merges it with other channels"
            channels.lock(axes[axis], reason)
        if held:
            ids = axes[held[-1]]
            entries = _spread_entries(call, ids, held[-1], ins, outs)
            if isinstance(entries, str):
                channels.lock(ids, f"{channels.quote(call)} {entries}")
            else:
                axis, rows = _choose_axis(call, channels, outs, entries)
                found[axis] = _tie_rows(call, channels, rows)
    return found


def _spread_entries(call, ids, axis, ins, outs):
    """Returns the unit of each entry of a block, shaped as the output's axes.

    A string that goes on after the layer's name where that is not known.
    """
    lengths = [call.inputs[0].shape[a] for a in ins]
    after = [call.outputs[0].shape[a] for a in outs]
    # The examples of a batch come first on both sides, if their number is unknown.
    for shape in (lengths, after):
        shape[:1] = [1] if shape[:1] == [None] else shape[:1]
    if None in lengths or None in after or not outs:
        return "reshapes it together with an axis of unknown length"
    along = [-1 if a == axis else 1 for a in ins]
    entries = np.broadcast_to(ids.reshape(along), lengths).ravel()
    if entries.size % math.prod(after):
        return "makes one example of several, with the channels of all"
    # Where there are more, several examples are made of one.
    return entries.reshape(-1, *after)


def _choose_axis(call, channels, outs, entries):
    """Returns on which axis of the output units are, and the rows to be tied there."""
    rows = {
        axis: np.moveaxis(entries, place, -1).reshape(-1, entries.shape[place])
        for place, axis in enumerate(outs, start=1)
    }
    free = [a for a, found in rows.items() if (found == found[:1]).all()]
    if free:  # the longest one, as all may be the same unit
        axis = max(free, key=lambda a: rows[a].shape[1])
    else:
        long = [axis for axis in outs if rows[axis].shape[1] > 1]
        axis = channels.find_heads(call, long) if len(long) > 1 else None
        axis = outs[-1] if axis is None else axis
    return axis, rows[axis]


def space_to_depth(call, channels):
    """The channels of a block of positions, side by side."""
    # Positions of the block are outside, channels inside: (block², channels) as one
    # axis.
    return np.tile(channels.ids(call.inputs[0]), call.operation.block_size**2)


def extract_patches(call, channels):
    """The channels of a patch of positions, side by side."""
    ids = channels.ids(call.inputs[0])
    return np.tile(ids, call.outputs[0].shape[-1] // len(ids))


def depth_to_space(call, channels):
    """Channels side by side, on the positions of a block: removed together."""
    ids = channels.ids(call.inputs[0])
    # Row b has the channels that go to position b of the block; output channel c is
    # there at all of them.
    return _tie_rows(call, channels, ids.reshape(call.operation.block_size**2, -1))


def _tie_rows(call, channels, rows):
    # Equal rows would be tied in the same way: once is enough.
    for row in np.unique(rows, axis=0):
        channels.tie(rows[0], row, f"{channels.quote(call)} joins it with channels")
    return rows[0]
