"""Flows of what takes channels apart, or brings them several times."""

import numpy as np


def slice_channels(call, channels):
    """The channels of a slice `x[..., start:stop]`; other axes do not matter."""
    ids = channels.ids(call.inputs[0])
    # A tensor in the subscript: which channels it takes is known only when it is run.
    if len(call.inputs) > 1:
        return channels.lock_all(call, f"{channels.quote(call)} looks it up")
    entry = _find_channel_slice(call.args, call.kwargs)
    if not isinstance(entry, slice):
        return channels.lock_all(call, f"{channels.quote(call)} takes one channel")
    # Of every second channel, what is kept may not be every second one again.
    if (entry.step or 1) not in (1, -1) and entry != slice(None):
        return channels.lock_all(call, f"{channels.quote(call)} skips channels")
    return ids[entry]


def _find_channel_slice(args, kwargs):
    """Returns what a subscript says of the last axis, as it is called with.

    Returns:
        A slice, or an integer. `None` where an axis is added after the channels.
    """
    tensor, key = _read_subscript(args, kwargs)
    return _spell_out(key, len(tensor.shape))[-1]


def narrow_slice(args, kwargs, kept):
    """Returns the arguments of a subscript of the channels that are kept.

    Args:
        args: Tuple, of the call.
        kwargs: Dict, of the call.
        kept: Dict: `"i"` -> boolean array.
    """
    if kept["i"].all():
        return args, kwargs
    tensor, key = _read_subscript(args, kwargs)
    entries = _spell_out(key, len(tensor.shape))
    # The places that the slice takes; then, of those that are kept, their places in the
    # smaller tensor. They are neighbours, so the first and the last one say all.
    places = np.arange(len(kept["i"]))[entries[-1]]
    places = (np.cumsum(kept["i"]) - 1)[places[kept["i"][places]]]
    first, last = int(places[0]), int(places[-1])
    if (entries[-1].step or 1) == 1:
        entries[-1] = slice(first, last + 1)
    else:
        # To the start is `None`: a stop of -1 would be the last place.
        entries[-1] = slice(first, last - 1 if last else None, -1)
    return (tensor, tuple(entries)), {}


def _read_subscript(args, kwargs):
    """Returns the tensor and the key that a subscript is called with."""
    return (*args, *kwargs.values()) if len(args) < 2 else args


def _spell_out(key, rank):
    """Returns a key as a list without an ellipsis, an entry for each axis."""
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if not any(entry is Ellipsis for entry in key):
        key.append(Ellipsis)
    (place,) = [i for i, entry in enumerate(key) if entry is Ellipsis]
    # `None` adds an axis and names none; the ellipsis is no axis either.
    named = sum(entry is not None for entry in key) - 1
    return key[:place] + [slice(None)] * (rank - named) + key[place + 1 :]


def take(call, channels):
    """Positions by number, on another axis than that of the channels."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    values = [*call.args, *call.kwargs.values()]
    if len(call.inputs) > 1 or values[0] is not call.inputs[0]:
        return channels.lock_all(call, f"{channels.quote(call)} looks it up")
    if operation.axis is None or operation.axis % rank == rank - 1:
        return channels.lock_all(
            call, f"{channels.quote(call)} takes channels by number"
        )
    return channels.ids(call.inputs[0])


def split(call, channels):
    """A part of the channels for each output; along another axis, all of them."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    ids = channels.ids(call.inputs[0])
    if operation.axis % rank != rank - 1:
        return ids
    widths = [tensor.shape[-1] for tensor in call.outputs]
    return np.split(ids, np.cumsum(widths)[:-1])


def repeat(call, channels):
    """Each channel several times; along another axis, once."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    ids = channels.ids(call.inputs[0])
    if operation.axis is None:
        return channels.lock_all(call, f"{channels.quote(call)} flattens it")
    if operation.axis % rank != rank - 1:
        return ids
    repeats = np.ravel(operation.repeats)
    if len(repeats) > 1:
        return channels.lock_all(call, f"{channels.quote(call)} repeats it unevenly")
    return np.repeat(ids, repeats[0])


def tile(call, channels):
    """All channels several times, side by side."""
    return np.tile(channels.ids(call.inputs[0]), np.ravel(call.operation.repeats)[-1])


def broadcast(call, channels):
    """The same channels at more positions."""
    ids = channels.ids(call.inputs[0])
    if len(ids) != call.outputs[0].shape[-1]:
        return channels.lock_all(call, f"{channels.quote(call)} broadcasts it")
    return ids
