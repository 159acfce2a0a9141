"""Which examples share a block of antithetic walks: those that play alike.

The errors of a block's walks cancel as far as its examples play the same game. Those of
one class nearly do: where all coalitions of a layer are known, 66 to 86 % of the noise
of a walk is that of its class (`benchmarks/control_variates.py`). Within a class, those
are put together that have about as much to share out.
"""

import numpy as np

_LARGEST = 2**31  # whole numbers beyond that name no class


def find_kinds(labels, weights, outputs, size):
    """Returns the class of each example, as far as it is known.

    Args:
        labels: Flat list of arrays, the labels of a batch, or none.
        weights: Flat list of arrays, the sample weights, or none.
        outputs: Flat list of arrays, the whole network's outputs on it, or none.
        size: Integer, the number of examples.

    Returns:
        Integer array, shape `(size,)`: 0 for all if neither labels nor outputs tell
        classes apart, and -1 for an example that has no weight.
    """
    for found in (labels, outputs):
        kinds = _read_classes(found)
        if kinds is not None:
            break
    else:
        kinds = np.zeros(size, int)
    weightless = [np.reshape(w, (size, -1)).max(axis=1) == 0 for w in weights]
    return np.where(np.all(weightless, axis=0), -1, kinds) if weightless else kinds


def place_examples(ends, kinds):
    """Returns the place of each example in a row in which neighbours play alike.

    Args:
        ends: Float array, shape `(num_examples, 2)`: the values of all units in play
            and of none.
        kinds: Integer array, shape `(num_examples,)`, see `find_kinds`.

    Returns:
        Integer array, shape `(num_examples,)`.
    """
    with np.errstate(invalid="ignore"):  # that a value is not finite is found later
        gaps = ends[:, 0] - ends[:, 1]
    # The last key is the first one to sort by.
    order = np.lexsort((gaps, kinds))
    return np.argsort(order)


def _read_classes(found):
    """Returns the classes that an array tells, or `None`; see `find_kinds`."""
    if len(found) != 1:
        return None
    array = np.asarray(found[0])
    if array.dtype.kind in "OSU":  # a game of the user's may take strings
        return None
    if array.ndim == 2 and array.shape[1] > 1:  # one-hot, logits or probabilities
        return array.argmax(axis=1)
    if array.ndim == 0 or array.size != len(array):
        return None
    whole = (array == np.round(array)) & (np.abs(array) < _LARGEST)
    return array.ravel().astype(int) if np.all(whole) else None
