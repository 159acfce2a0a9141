"""The flow of a subscript such as `x[:, 0, ..., start:stop]`."""

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import letter_of


def slice_channels(call, channels):
    """The positions of a slice on each axis; axes of a single position are gone."""
    # A tensor in the subscript: which channels it takes is known only when it is run.
    if len(call.inputs) > 1:
        reason = f"{channels.quote(call)} takes positions that a tensor names"
        return channels.lock_all(call, reason)
    axes, found, new = channels.axes(call.inputs[0]), {}, 0
    tensor, key = _read_subscript(call.args, call.kwargs)
    entries = _by_axis(key, len(tensor.shape))
    if _moves_axes([entry for _, entry in entries]):
        reason = f"{channels.quote(call)} takes positions by number on several axes"
        return channels.lock_all(call, reason)
    for axis, entry in entries:
        if axis in axes:
            fault = _find_fault(entry)
            if fault is None:
                found[new] = axes[axis][entry]
            else:
                channels.lock(axes[axis], f"{channels.quote(call)} {fault}")
        new += isinstance(entry, slice) or entry is None or np.ndim(entry)
    return found


def _moves_axes(entries):
    """Returns whether lists of numbers are among entries that may move their axis."""
    numbers = [x for x in entries if not (x is None or isinstance(x, slice))]
    return len(numbers) > 1 and any(map(np.ndim, numbers))


def _find_fault(entry):
    """Returns why an entry for an axis with units is not followed, or `None`."""
    if not isinstance(entry, slice):
        return "takes channels by number" if np.ndim(entry) else "takes one channel"
    # Of every second channel, what is kept may not be every second one again.
    skips = (entry.step or 1) not in (1, -1) and entry != slice(None)
    return "skips channels" if skips else None


def narrow_slice(args, kwargs, kept):
    """Returns the arguments of a subscript of the channels that are kept.

    Args:
        args: Tuple, of the call.
        kwargs: Dict, of the call.
        kept: Dict: `"i"`, `"i-2"` and so on -> boolean array, see `letter_of`.
    """
    tensor, key = _read_subscript(args, kwargs)
    rank, entries = len(tensor.shape), []
    for axis, entry in _by_axis(key, rank):
        letter = "i" if axis == rank - 1 else letter_of("i", axis or 0, rank)
        mask = None if axis is None else kept.get(letter)
        is_cut = mask is not None and not mask.all() and isinstance(entry, slice)
        entries.append(_narrow(entry, mask) if is_cut else entry)
    if all(mask.all() for mask in kept.values()):
        return args, kwargs
    return (tensor, tuple(entries)), {}


def _narrow(entry, mask):
    """Returns the slice of what is kept of the positions that a slice takes."""
    # The places that the slice takes; then, of those that are kept, their places in the
    # smaller tensor. They are neighbours, so the first and the last one say all.
    places = np.arange(len(mask))[entry]
    places = (np.cumsum(mask) - 1)[places[mask[places]]]
    first, last = int(places[0]), int(places[-1])
    if (entry.step or 1) == 1:
        return slice(first, last + 1)
    # To the start is `None`: a stop of -1 would be the last place.
    return slice(first, last - 1 if last else None, -1)


def _read_subscript(args, kwargs):
    """Returns the tensor and the key that a subscript is called with."""
    return (*args, *kwargs.values()) if len(args) < 2 else args


def _by_axis(key, rank):
    """Returns pairs of an axis of the tensor, `None` for a new one, and its entry."""
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if not any(entry is Ellipsis for entry in key):
        key.append(Ellipsis)
    (place,) = [i for i, entry in enumerate(key) if entry is Ellipsis]
    # `None` adds an axis and names none; the ellipsis is no axis either.
    named = sum(entry is not None for entry in key) - 1
    key = key[:place] + [slice(None)] * (rank - named) + key[place + 1 :]
    axes = iter(range(rank))
    return [(None if entry is None else next(axes), entry) for entry in key]
