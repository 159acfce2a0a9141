"""Flows of what takes an axis apart, or brings it several times."""

import numpy as np

from keras_shapley_prune.layer_types.flows.axes import move


def take(call, channels):
    """Positions by number, those of an axis with units too."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    values = [*call.args, *call.kwargs.values()]
    if len(call.inputs) > 1:
        reason = f"{channels.quote(call)} takes positions that a tensor names"
        return channels.lock_all(call, reason)
    if values[0] is not call.inputs[0]:
        reason = f"{channels.quote(call)} reads it as numbers to look up"
        return channels.lock_all(call, reason)
    if operation.axis is None:
        return channels.lock_all(call, f"{channels.quote(call)} flattens it")
    axes, axis = channels.axes(call.inputs[0]), operation.axis % rank
    taken, numbers = axes.pop(axis, None), np.asarray(values[1])
    # The axis is replaced by those of the numbers, which may be none.
    added = len(call.outputs[0].shape) - rank + 1
    found = move(axes, [*range(axis), *[None] * added, *range(axis + 1, rank)])
    if taken is None:
        return found
    if numbers.ndim != 1 or (np.abs(numbers + 0.5) > len(taken)).any():
        reason = "takes channels by number, not as a list of those that there are"
        channels.lock(taken, f"{channels.quote(call)} {reason}")
        return found
    return {**found, axis: taken[numbers]}


def narrow_take(numbers, mask):
    """Returns the numbers of what is kept among the positions that are taken.

    Args:
        numbers: List or array of integers, the positions; those below 0 count from the
            end.
        mask: Boolean array, which positions are kept.
    """
    places = np.arange(len(mask))[np.asarray(numbers)]
    places = (np.cumsum(mask) - 1)[places[mask[places]]]
    return places if isinstance(numbers, np.ndarray) else places.tolist()


def split(call, channels):
    """A part of an axis for each output, and all of the others."""
    axes = channels.axes(call.inputs[0])
    axis = call.operation.axis % len(call.inputs[0].shape)
    if axis not in axes:
        return axes
    widths = [tensor.shape[axis] for tensor in call.outputs]
    parts = np.split(axes[axis], np.cumsum(widths)[:-1])
    return [{**axes, axis: part} for part in parts]


def repeat(call, channels):
    """Each position of an axis several times, and the others once."""
    operation, rank = call.operation, len(call.inputs[0].shape)
    if operation.axis is None:
        return channels.lock_all(call, f"{channels.quote(call)} flattens it")
    axes, axis = channels.axes(call.inputs[0]), operation.axis % rank
    repeats = np.ravel(operation.repeats)
    if axis in axes and len(repeats) > 1:
        reason = f"{channels.quote(call)} repeats it unevenly"
        channels.lock(axes.pop(axis), reason)
    elif axis in axes:
        axes[axis] = np.repeat(axes[axis], repeats[0])
    return axes


def tile(call, channels):
    """Whole axes several times, side by side."""
    repeats, rank = np.ravel(call.operation.repeats), len(call.outputs[0].shape)
    added = rank - len(call.inputs[0].shape)
    repeats = np.concatenate([np.ones(rank - len(repeats), int), repeats])
    found = channels.axes(call.inputs[0])
    return {a + added: np.tile(ids, repeats[a + added]) for a, ids in found.items()}


def broadcast(call, channels):
    """The same channels at more positions."""
    tensor, output = call.inputs[0], call.outputs[0]
    added, found = len(output.shape) - len(tensor.shape), {}
    for axis, ids in channels.axes(tensor).items():
        if tensor.shape[axis] == output.shape[axis + added]:
            found[axis + added] = ids
        else:
            channels.lock(ids, f"{channels.quote(call)} broadcasts it")
    return found
