"""Flows of what moves channels to positions, and back."""

import math

import numpy as np


def reshape(call, channels):
    """Follows every channel through a row-major reshape.

    Units that end up in one output channel are tied, so that the reshape is possible
    whichever of them are removed.
    """
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    ids = channels.ids(call.inputs[0])
    # Row-major, so each channel is still at its place, whatever the other axes do.
    if before and after and before[-1] == after[-1]:
        return ids
    if not before or not after or None in before or None in after:
        return channels.lock_all(call, "reshapes channels of unknown number")
    if math.prod(before) % after[-1]:
        return channels.lock_all(call, "reshapes channels of several examples into one")
    # The ids of all entries of an example, reshaped as the tensor is: column c holds
    # all units that end up in output channel c.
    columns = np.broadcast_to(ids, before).reshape(-1, after[-1])
    return _tie_rows(call, channels, columns)


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
