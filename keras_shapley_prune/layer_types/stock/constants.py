"""Arguments and constants of an operation, and reasons why one cannot be pruned."""

import inspect

import keras
import numpy as np

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import keep

_ARRAY = "has an array of constants, which nothing would cut"


def name_arguments(call):
    """Returns a dict: name of an argument -> value, those that are `None` left out."""
    signature = inspect.signature(type(call.operation).call)
    bound = signature.bind(call.operation, *call.args, **call.kwargs).arguments
    return {name: value for name, value in bound.items() if value is not None}


def forbid_arrays(*names):
    """Returns the `unfit` check that attributes of an operation are plain numbers.

    An array may hold a number for each channel, which the smaller operation would have
    to be given without those that are removed.
    """

    def unfit(call):
        values = [getattr(call.operation, name) for name in names]
        return _ARRAY if any(map(np.ndim, values)) else None

    return unfit


def forbid_array_arguments(call):
    """The `unfit` check that an operation is called with tensors and numbers only."""
    leaves = keras.tree.flatten((call.args, call.kwargs))
    arrays = [np.ndim(x) for x in leaves if not isinstance(x, keras.KerasTensor)]
    return _ARRAY if any(arrays) else None


def lock(reason):
    """Returns the `LayerType` of an operation that is never pruned.

    Args:
        reason: String, what it does, for the report.
    """
    return DeclaredType(keep, unfit=lambda call: reason)
