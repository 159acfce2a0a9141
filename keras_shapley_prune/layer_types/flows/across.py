"""What becomes of units on other axes than the last: the flows of `LayerType.across`.

Each returns a dict: axis of the output -> unit ids.
"""

import functools

import numpy as np


def pass_across(call, channels):
    """Each position is computed of that position alone: units remain on their axes."""
    return channels.across(call.inputs[0])


def pass_outside(axes_of):
    """Returns the flow of what mixes positions along some axes only.

    Args:
        axes_of: Callable `fn(operation)` that returns them, an integer or several;
            `None` stands for all.
    """

    def flow_across(call, channels):
        found, rank = channels.across(call.inputs[0]), len(call.inputs[0].shape)
        worked = axes_of(call.operation)
        worked = range(rank) if worked is None else np.atleast_1d(worked) % rank
        for axis in set(worked) & set(found):
            reason = f"{channels.quote(call)} works along the channels"
            channels.lock(found.pop(axis), reason)
        return found

    return flow_across


def only_last(flow):
    """Returns a flow of the last axis alone; units on others are locked.

    Args:
        flow: Callable `fn(call, channels)` whose ids may be of several axes.
    """

    @functools.wraps(flow)
    def flow_last(call, channels):
        flown = flow(call, channels)
        for ids, tensor in zip(spread(flown, call), call.outputs, strict=True):
            if isinstance(ids, dict):
                last = len(tensor.shape) - 1
                channels.lock_axes(call, {a: x for a, x in ids.items() if a != last})
        return flown

    return flow_last


def spread(flown, call):
    """Returns what a flow returned as a list, an entry for each output."""
    return flown if isinstance(flown, list) else [flown] * len(call.outputs)


def merge_axes(several):
    """Returns the axes on which any of several tensors has units, in order.

    Args:
        several: List of dicts: axis -> unit ids.
    """
    return sorted({axis for axes in several for axis in axes})
