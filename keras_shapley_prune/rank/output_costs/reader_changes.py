"""How the layers that read a group change when it is cut to some depths and repaired.

The repair of a linear layer is a ridge regression on the units that are kept. To its
outputs that is the same as another matrix: what it changes is known before anything is
cut.
"""

import numpy as np

from keras_shapley_prune.repair.ridge import RIDGE, solve_towards

# Shares of a group. Budgets are decided among shallow cuts, so these are denser.
DEPTHS = (0.06, 0.125, 0.25, 0.375, 0.5, 0.7, 0.9)


class ReaderChange:
    """By what the matrix of one reader changes when more and more units are removed.

    Attributes:
        reader: The `Reader`. Without a `form`, the change is that of what it reads: a
            removed channel is put together of those that are kept.
        changes: List of callables, one a depth, that return a float32 array, shape
            `(num_columns + 1, num_outputs)`; the last row is the change of the bias.
    """

    def __init__(self, reader, changes):
        self.reader, self.changes = reader, changes

    @property
    def key(self):
        """Tuple, the index of the call and the position of the input."""
        return self.reader.call.index, self.reader.position


def count_depths(num_units):
    """Returns how many units are removed at each depth, rising integers.

    Args:
        num_units: Integer, of the group, at least 2.
    """
    counts = {round(depth * num_units) for depth in DEPTHS}
    return sorted({min(max(count, 1), num_units - 1) for count in counts})


def find_changes(moments, group, order, counts, store):
    """Returns the `ReaderChange`s of a group, a list.

    Args:
        moments: The `InputMoments`.
        group: A `ChannelGroup`.
        order: Integer array, the places of its units in the order of removal.
        counts: List of integers, how many are removed at each depth.
        store: An `ArrayStore`, which holds the changes.
    """
    removed_at = np.empty(group.num_units, int)
    removed_at[order] = np.arange(group.num_units)
    found = []
    for (index, position), ids in moments.channel_map.ends_of(group).items():
        call = moments.channel_map.graph.calls[index]
        reader, (xx, xy, _) = moments.collect(call, position)
        mean, ids_of = moments.mean_of(call, position), ids[reader.channel_of]
        when = np.full(len(ids_of), group.num_units)  # units of other groups stay
        here = np.isin(ids_of, group.units)
        when[here] = removed_at[np.searchsorted(group.units, ids_of[here])]
        changes = [
            _find_change(reader, xx, xy, mean, when >= count) for count in counts
        ]
        found.append(ReaderChange(reader, list(map(store.put, changes))))
    return found


def _find_change(reader, xx, xy, mean, left):
    """Returns the change once only some columns are left, see `ReaderChange`."""
    refits = reader.form is not None
    change = _refit(reader, xx, xy, left) if refits else _rebuild(xx, left)
    # The bias keeps the mean.
    return np.vstack([change, -mean @ change]).astype("float32")


def _refit(reader, xx, xy, left):
    """Returns the change of a reader's matrix."""
    change = np.zeros(reader.weights.shape)
    for columns, outputs in reader.blocks:
        stay = columns[left[columns]]
        if len(stay) == len(columns):
            continue
        block = np.ix_(columns, outputs)
        change[block] = -reader.weights[block]
        if len(stay):
            block = np.ix_(stay, outputs)
            prior = reader.weights[block]
            # The weights are zero outside of a block, so `xy` is that of the block.
            change[block] += solve_towards(
                xx[np.ix_(stay, stay)], xy[block], prior, RIDGE
            )
    return change


def _rebuild(xx, left):
    """Returns what is added to channels to put removed ones together of the others."""
    stay, removed = np.flatnonzero(left), np.flatnonzero(~left)
    change = np.zeros(xx.shape, "float32")
    change[removed, removed] = -1
    if len(stay) and len(removed):
        prior = np.zeros((len(stay), len(removed)))
        fitted = solve_towards(
            xx[np.ix_(stay, stay)], xx[np.ix_(stay, removed)], prior, RIDGE
        )
        change[np.ix_(stay, removed)] = fitted
    return change
