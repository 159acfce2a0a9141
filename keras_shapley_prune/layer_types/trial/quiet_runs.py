"""Runs of a user's code that change nothing: no weight, no seed, no counter."""

import contextlib
import random
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from keras_shapley_prune.layer_types.trial.error_lines import first_line

# What Keras counts for all layers together: names, and draws without a seed.
_GLOBAL = "object_name_uids", "global_seed_generator"


class NotElementwiseError(Exception):
    """Why something does not compute each channel of that channel alone."""


class NotRepeatableError(NotElementwiseError):
    """Said of what returns something else each time."""


class QuietRun:
    """A function of one tensor, on arrays and without a change to any variable.

    Args:
        function: Callable `fn(tensor)` that returns a tensor.
        dtype: String, that of the tensor.
        values: Sequence of pairs of a variable and the value it has in the run.
        precision: String, the type in which the function computes, `dtype` by default.
        strict: Boolean, whether it is an error if the function changes a variable.
    """

    def __init__(self, function, dtype, values=(), precision=None, strict=True):
        self._function, self._dtype, self._values = function, dtype, list(values)
        self.precision, self._strict = precision or dtype, strict

    def __call__(self, array):
        """Returns what the function makes of an array, in float64.

        Args:
            array: Float array, the channels on its last axis.

        Raises:
            NotElementwiseError: If it cannot be run, or changes a variable.
        """
        tensor = keras.ops.cast(keras.ops.convert_to_tensor(array), self._dtype)
        scope = keras.StatelessScope(self._values)
        before = dict(scope.state_mapping)
        try:
            with warnings.catch_warnings(), scope:
                warnings.simplefilter("ignore")
                returned = self._function(tensor)
        except Exception as error:  # whatever the user's code raises
            reason = f"it cannot be run: {first_line(error)}"
            raise NotElementwiseError(reason) from error
        changed = any(
            value is not before.get(key) for key, value in scope.state_mapping.items()
        )
        if changed and self._strict:
            raise NotElementwiseError(
                "it draws random numbers, or changes a variable, when it is called"
            )
        return _to_array(returned)


def _to_array(returned):
    """Returns the one tensor that a function has returned, as an array."""
    if not tf.is_tensor(returned):
        raise NotElementwiseError(f"it returns {type(returned).__name__}, not a tensor")
    if getattr(returned, "_keras_mask", None) is not None:
        raise NotElementwiseError("it makes a mask of time steps of what it reads")
    if not keras.backend.is_float_dtype(returned.dtype):
        raise NotElementwiseError(f"it returns {returned.dtype.name}")
    return keras.ops.convert_to_numpy(keras.ops.cast(returned, "float64"))


@contextlib.contextmanager
def no_side_effects(owner=None):
    """Puts back whatever Python and Keras count, and the attributes of a layer.

    Args:
        owner: The layer or operation that is run, or `None`.
    """
    numbers, generator = np.random.get_state(), random.getstate()
    counted = {name: global_state.get_global_attribute(name) for name in _GLOBAL}
    names = dict(counted[_GLOBAL[0]] or {})
    attributes = dict(vars(owner)) if owner is not None else {}
    states = [(v, v.numpy()) for v in attributes.values() if isinstance(v, tf.Variable)]
    try:
        yield
    finally:
        np.random.set_state(numbers)
        random.setstate(generator)
        for name, value in counted.items():
            global_state.set_global_attribute(name, value)
        if counted[_GLOBAL[0]] is not None:
            counted[_GLOBAL[0]].clear()
            counted[_GLOBAL[0]].update(names)
        if owner is not None:
            # Not by `setattr`, which Keras watches.
            vars(owner).clear()
            vars(owner).update(attributes)
        for variable, value in states:
            variable.assign(value)
