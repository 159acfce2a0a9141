"""Flows: which unit sits at each position of an output's channel axis.

Each is a function `fn(call, channels)` of a recorded `Call` and the `ChannelTracer` at
work, and returns the unit ids of what the call returns.
"""

import keras
import numpy as np


def mix(call, channels):
    """Every output channel reads all input channels: new units."""
    channels.consume(call, 0)
    return channels.produce(call)


def keep(call, channels):
    """Each output channel depends on the input channel at its own position."""
    return channels.ids(call.inputs[0])


def normalize(call, channels):
    """Channel for channel, by what all channels of the input are together."""
    channels.observe(call, 0)
    return channels.ids(call.inputs[0])


def expand(call, channels):
    """Each input channel gives `depth_multiplier` output channels."""
    ids = channels.ids(call.inputs[0])
    return np.repeat(ids, call.operation.depth_multiplier)


def join(call, channels):
    """Channels at the same position of several tensors stand or fall together."""
    width = call.outputs[0].shape[-1]
    if any(len(t.shape) != len(call.outputs[0].shape) for t in call.inputs):
        return channels.lock_all(call, "joins tensors of different rank")
    wide = []
    for tensor in call.inputs:
        ids = channels.ids(tensor)
        if len(ids) == width:
            wide.append(ids)
        else:
            channels.lock(ids, f"`{call.operation.name}` broadcasts it")
    if not wide:
        return channels.lock_all(call, "broadcasts every tensor it joins")
    for constant in _array_constants(call):
        if np.shape(constant)[-1] != 1:
            channels.lock(wide[0], f"`{call.operation.name}` joins it with a constant")
    for ids in wide[1:]:
        channels.tie(wide[0], ids, f"`{call.operation.name}` joins it with channels")
    return wide[0]


def concatenate(call, channels):
    """Channels side by side; along another axis, joined."""
    rank = len(call.outputs[0].shape)
    if call.operation.axis % rank != rank - 1:
        return join(call, channels)
    return np.concatenate([channels.ids(tensor) for tensor in call.inputs])


def reshape(call, channels):
    """Follows every channel through a row-major reshape.

    Units that come to stand in one output channel are tied, so that the reshape
    stays possible whichever of them are removed.
    """
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    ids = channels.ids(call.inputs[0])
    if before and after and before[-1] == after[-1]:
        return ids
    if not before or not after or None in before or None in after:
        return channels.lock_all(call, "reshapes channels of unknown number")
    columns = np.broadcast_to(ids, before).reshape(-1, after[-1])
    for row in np.unique(columns, axis=0):
        channels.tie(columns[0], row, f"`{call.operation.name}` joins it with channels")
    return columns[0]


def reduce(call, channels):
    """A raw reduction such as `keras.ops.mean` over axes other than the channels'."""
    rank = len(call.inputs[0].shape)
    axes = call.operation.axis
    axes = range(rank) if axes is None else np.atleast_1d(axes) % rank
    if rank - 1 in axes:
        return channels.lock_all(call, "reduces the channel axis")
    return keep(call, channels)


FLOWS = {
    function.__name__: function
    for function in (mix, keep, expand, join, concatenate, reshape, reduce)
}


def _array_constants(call):
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [x for x in leaves if not isinstance(x, keras.KerasTensor) and np.ndim(x)]
