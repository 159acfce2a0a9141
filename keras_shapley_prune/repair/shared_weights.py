"""The same weights on all workers, to the last bit."""

import keras
import numpy as np


def share_weights(variables, workers):
    """Gives all workers the weights that the first one has.

    They have the same sums, and so fit the same weights. But machines of different
    kinds round differently.

    Args:
        variables: Iterable of `keras.Variable`s.
        workers: The `Workers`.
    """
    if workers.count == 1:
        return
    for variable in variables:
        array = keras.ops.convert_to_numpy(variable)
        own = array if workers.is_chief else np.zeros_like(array)
        (found,) = workers.sum(own)
        variable.assign(found.astype(array.dtype))
