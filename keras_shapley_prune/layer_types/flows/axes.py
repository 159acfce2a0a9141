"""Flows of what works on other axes than that of the channels."""

import numpy as np


def along(call, channels):
    """Runs along, or reduces, axes other than the channels'."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    # Keras has both spellings; `None` stands for all axes.
    axes = getattr(operation, "axis", getattr(operation, "axes", None))
    axes = range(rank) if axes is None else np.atleast_1d(axes) % rank
    if rank - 1 in axes:
        return channels.lock_all(
            call, f"{channels.quote(call)} works along the channels"
        )
    return channels.ids(call.inputs[0])


def insert(call, channels):
    """Adds axes of length 1 before the channels."""
    operation, rank = call.operation, len(call.outputs[0].shape)
    if rank - 1 in np.atleast_1d(operation.axis) % rank:
        return channels.lock_all(call, f"{channels.quote(call)} adds an axis after it")
    return channels.ids(call.inputs[0])


def pad(call, channels):
    """Pads axes other than the channels'."""
    if tuple(call.operation.pad_width[-1]) != (0, 0):
        return channels.lock_all(call, f"{channels.quote(call)} pads the channels")
    return channels.ids(call.inputs[0])


def remove(call, channels):
    """Removes named axes of length 1, not the channels'."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    if operation.axis is None:  # it would remove the channels' axis too, if one is kept
        return channels.lock_all(
            call, f"{channels.quote(call)} removes every axis of length 1"
        )
    if rank - 1 in np.atleast_1d(operation.axis) % rank:
        return channels.lock_all(
            call, f"{channels.quote(call)} removes the channels' axis"
        )
    return channels.ids(call.inputs[0])


def permute(order):
    """Returns the flow of what swaps axes; the channels have to remain the last one.

    Args:
        order: Callable `fn(operation, rank)` that returns which axis of the input each
            axis of the output is.
    """

    def flow(call, channels):
        operation, rank = call.operation, len(call.inputs[0].shape)
        if order(operation, rank)[-1] % rank != rank - 1:
            return channels.lock_all(
                call, f"{channels.quote(call)} puts the channels on another axis"
            )
        return channels.ids(call.inputs[0])

    return flow
