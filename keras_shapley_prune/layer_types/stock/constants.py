"""Constants of an operation, and reasons why one cannot be pruned."""

import keras
import numpy as np

from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.registry import LayerSpec


def forbid_arrays(*names):
    """Returns the `unfit` check that attributes of an operation are plain numbers."""

    def unfit(call):
        values = [getattr(call.operation, name) for name in names]
        return "has an array of constants" if any(map(np.ndim, values)) else None

    return unfit


def forbid_array_arguments(call):
    """The `unfit` check that an operation is called with tensors and numbers only."""
    leaves = keras.tree.flatten((call.args, call.kwargs))
    arrays = [np.ndim(x) for x in leaves if not isinstance(x, keras.KerasTensor)]
    return "has an array of constants" if any(arrays) else None


def lock(reason):
    """Returns the `LayerSpec` of an operation that is never pruned.

    Args:
        reason: String, what it does, for the report.
    """
    return LayerSpec(keep, unfit=lambda call: reason)
