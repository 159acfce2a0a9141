"""Arrays of unit ids: which unit sits at each position."""

import numpy as np

FIXED = -1  # the id of a channel that is no unit: it is always kept
INSIDE = -1  # the input position that stands for the inside of a call


def positions_of(units, ids):
    """Returns where each unit is in an array of unit ids that holds all alike often.

    Args:
        units: Integer array, shape `(num_units,)`.
        ids: Integer array.

    Returns:
        Integer array, shape `(num_units, times)`.
    """
    order = np.argsort(ids, kind="stable")
    # Unit u is at `order[first_u : first_u + times]`; the sort is stable, so in rising
    # order.
    first, last = (
        np.searchsorted(ids[order], units, side) for side in ("left", "right")
    )
    times = int((last - first).max(initial=0))
    return order[first[:, np.newaxis] + np.arange(times)]


def kept(keep, ids):
    """Returns `keep` at unit ids; positions that carry no unit are always kept."""
    return np.append(keep, True)[ids]


def count_kept(mask):
    """Returns how many positions of a boolean array are kept, an `int` as in JSON."""
    return int(np.count_nonzero(mask))


def no_units(tensor):
    """Ids of no unit, one for each channel (none where their number is unknown)."""
    return np.full((tensor.shape[-1] or 0) if tensor.shape else 0, FIXED)


def fixed(length):
    """Ids of no unit for an axis; none where its length is unknown.

    Args:
        length: Integer or `None`.
    """
    return np.full(length or 0, FIXED)


def has_units(ids):
    """Returns whether any of some ids is that of a unit."""
    return bool((np.asarray(ids) != FIXED).any())


def letter_of(end, axis, rank):
    """Returns the letter of an axis, other than the last, of a tensor.

    Args:
        end: String, `"i"` for the first input, `"o"` for the first output.
        axis: Integer, at least 0.
        rank: Integer, of the tensor.

    Returns:
        String, such as `"o-2"` for the last axis but one of the output.
    """
    return f"{end}{axis - rank}"
