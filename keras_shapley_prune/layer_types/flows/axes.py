"""Flows of what moves, adds, removes or reduces axes: units go where their axis goes.

These flows return a dict: axis of the output -> unit ids.
"""

import numpy as np


def move(axes, origin):
    """Returns the ids of each axis of an output, given which axis of the input it is.

    Args:
        axes: Dict: axis of the input -> unit ids, see `ChannelTracer.axes`.
        origin: Sequence, for each axis of the output the axis of the input, or `None`.
    """
    return {axis: axes[old] for axis, old in enumerate(origin) if old in axes}


def along(call, channels):
    """Runs along, or reduces, axes on which there are no units."""
    return _run_along(call, channels, channels.axes(call.inputs[0]))


def reduce_channels(call, channels):
    """Reduces axes; where the channels are among them, it reads them."""
    axes, last = channels.axes(call.inputs[0]), len(call.inputs[0].shape) - 1
    worked = _find_worked(call)
    if last in axes and last in worked and 0 not in worked:  # axis 0: the examples
        channels.consume(call, 0)
        del axes[last]
    return _run_along(call, channels, axes)


def _find_worked(call):
    """Returns the axes along which an operation works, counted from 0."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    # Keras has both spellings; `None` stands for all axes.
    worked = getattr(operation, "axis", getattr(operation, "axes", None))
    return range(rank) if worked is None else np.atleast_1d(worked) % rank


def _run_along(call, channels, axes):
    operation, rank = call.operation, len(call.inputs[0].shape)
    worked = _find_worked(call)
    for axis in set(worked) & set(axes):
        reason = f"{channels.quote(call)} works along the channels"
        channels.lock(axes.pop(axis), reason)
    for tensor in call.inputs[1:]:  # such as the positions that an integral is over
        channels.lock_tensor(tensor, f"{channels.quote(call)} is given it as a setting")
    # Of an array of quantiles the output has an axis, which comes first.
    new_rank, adds = len(call.outputs[0].shape), hasattr(operation, "q")
    reduces = new_rank < rank or (adds and not getattr(operation, "keepdims", False))
    left = [a for a in range(rank) if a not in worked] if reduces else range(rank)
    return move(axes, [*[None] * (new_rank - len(left)), *left])


def insert(call, channels):
    """Adds axes of length 1."""
    rank = len(call.outputs[0].shape)
    added = np.atleast_1d(call.operation.axis) % rank
    old = iter(range(rank))
    origin = [None if axis in added else next(old) for axis in range(rank)]
    return move(channels.axes(call.inputs[0]), origin)


def pad(call, channels):
    """Pads axes on which there are no units."""
    axes, widths = channels.axes(call.inputs[0]), call.operation.pad_width
    for axis in list(axes):
        if tuple(widths[axis if len(widths) > 1 else 0]) != (0, 0):
            channels.lock(axes.pop(axis), f"{channels.quote(call)} pads the channels")
    return axes


def remove(call, channels):
    """Removes named axes of length 1, on which there are no units."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    if operation.axis is None:  # it would remove the channels' axis too, if one is kept
        what = "removes every axis of length 1, the channels' too if one is kept"
        return channels.lock_all(call, f"{channels.quote(call)} {what}")
    removed = np.atleast_1d(operation.axis) % rank
    axes = channels.axes(call.inputs[0])
    for axis in set(removed) & set(axes):
        channels.lock(axes[axis], f"{channels.quote(call)} removes the channels' axis")
    return move(axes, [axis for axis in range(rank) if axis not in removed])


def permute(order):
    """Returns the flow of what swaps axes.

    Args:
        order: Callable `fn(operation, rank)` that returns which axis of the input each
            axis of the output is.
    """

    def flow(call, channels):
        rank = len(call.inputs[0].shape)
        origin = [int(axis) % rank for axis in order(call.operation, rank)]
        return move(channels.axes(call.inputs[0]), origin)

    return flow
