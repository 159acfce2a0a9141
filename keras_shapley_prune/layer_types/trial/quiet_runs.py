"""Runs of a user's code that change nothing: no weight, no seed, no counter."""

import contextlib
import random
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from keras_shapley_prune.inputs.one_line import first_line

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
                returned = _to_array(self._function(tensor))
        except NotElementwiseError:
            raise
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
        return returned


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

    Nor does anything warn: a user has called none of what is run.

    Args:
        owner: The layer or operation that is run, or `None`.
    """
    numbers, generator = np.random.get_state(), random.getstate()
    counted = {name: global_state.get_global_attribute(name) for name in _GLOBAL}
    names = dict(counted[_GLOBAL[0]] or {})
    owners = [] if owner is None else [owner]
    if isinstance(owner, keras.Layer):
        owners = owner._flatten_layers()
    attributes = [(each, dict(vars(each))) for each in owners]
    states = [
        (value, value.numpy())
        for _, held in attributes
        for value in held.values()
        if isinstance(value, tf.Variable)
    ]
    drawing = counted["global_seed_generator"]
    if drawing is not None:
        states.append((drawing.state, drawing.state.numpy()))
    compiled = not tf.config.functions_run_eagerly()
    # What a `tf.function` is traced with here it would hold on to.
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tf.config.run_functions_eagerly(not compiled)
        np.random.set_state(numbers)
        random.setstate(generator)
        for name, value in counted.items():
            global_state.set_global_attribute(name, value)
        if counted[_GLOBAL[0]] is not None:
            counted[_GLOBAL[0]].clear()
            counted[_GLOBAL[0]].update(names)
        for each, held in attributes:
            # Not by `setattr`, which Keras watches.
            vars(each).clear()
            vars(each).update(held)
        for variable, value in states:
            variable.assign(value)
