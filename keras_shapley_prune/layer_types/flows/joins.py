"""Flows of what joins several tensors."""

import keras
import numpy as np


def join(call, channels):
    """Channels at the same position of several tensors are removed together."""
    width = call.outputs[0].shape[-1]
    rank, is_layer = len(call.outputs[0].shape), isinstance(call.operation, keras.Layer)
    # The last axes of a weight meet those of others; an axis of examples must not.
    if any(
        len(t.shape) != rank and (is_layer or not t.shape or t.shape[0] is None)
        for t in call.inputs
    ):
        return channels.lock_all(call, "joins tensors of different rank")
    wide = []
    for tensor in call.inputs:
        ids = channels.ids(tensor)
        # A tensor of one channel is spread over all others: that one has to be there.
        if len(ids) == width:
            wide.append(ids)
        else:
            channels.lock(ids, f"{channels.quote(call)} broadcasts it")
    if not wide:
        return channels.lock_all(call, "broadcasts every tensor it joins")
    for constant in _array_constants(call):
        # It has an entry for each channel, and nothing would cut it.
        if np.shape(constant)[-1] != 1:
            channels.lock(wide[0], f"{channels.quote(call)} joins it with a constant")
    return _tie_all(call, channels, wide)


def concatenate(call, channels):
    """Channels side by side; along another axis, joined."""
    rank = len(call.outputs[0].shape)
    if call.operation.axis % rank != rank - 1:
        return join(call, channels)
    return np.concatenate([channels.ids(tensor) for tensor in call.inputs])


def stack(call, channels):
    """Tensors on a new axis before the channels, joined."""
    rank = len(call.outputs[0].shape)
    if call.operation.axis % rank == rank - 1:
        return channels.lock_all(call, f"{channels.quote(call)} adds an axis after it")
    return _tie_all(call, channels, [channels.ids(t) for t in call.inputs])


def join_halves(call, channels):
    """The first half of the channels with the second, as a gated linear unit."""
    rank = len(call.outputs[0].shape)
    ids = channels.ids(call.inputs[0])
    if call.operation.axis % rank != rank - 1:
        return ids
    return _tie_all(call, channels, np.split(ids, 2))


def _tie_all(call, channels, several):
    for ids in several[1:]:
        channels.tie(several[0], ids, f"{channels.quote(call)} joins it with channels")
    return several[0]


def _array_constants(call):
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [x for x in leaves if not isinstance(x, keras.KerasTensor) and np.ndim(x)]
