"""Trial: whether a function takes the axes of a tensor in any order."""

import contextlib
import functools

import keras
import numpy as np

from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.layouts.orders import channels_last
from keras_shapley_prune.layer_types.trial.quiet_runs import no_side_effects

_LENGTHS = 5, 6, 7, 8, 9  # of axes whose lengths are not fixed: no two alike


def works_in_any_order(function, shape, order):
    """Returns whether a function of reordered axes is the function, reordered.

    It is run on random numbers of both signs, large ones among them.

    Args:
        function: Callable `fn(tensor)`, such as a layer without weights.
        shape: Tuple, that of the tensor; `None` for what is not fixed.
        order: Tuple, the order that is tried, see `orders.py`.
    """
    free = iter(_LENGTHS)
    lengths = [2, *(next(free, 4) if n is None else n for n in shape[1:])]
    array = np.random.default_rng(0).normal(size=lengths).astype("float32")
    array.flat[::3] *= 50
    with contextlib.suppress(Exception), no_side_effects(_owner(function)):
        # Of two axes, it is the entries of the last one that may be reordered.
        turn = (
            _reverse if len(order) < 3 else functools.partial(np.transpose, axes=order)
        )
        before, after = _run(function, array), _run(function, turn(array))
        alike = before.shape == array.shape or before.ndim == len(order) > 2
        return alike and np.allclose(turn(before), after, 1e-5, 1e-5, equal_nan=True)
    return False  # it cannot be run so


def acts_in_any_order(operation, rank):
    """Returns whether the activation of a layer takes axes in any order.

    Args:
        operation: The layer or raw operation.
        rank: Integer, of what it reads.
    """
    activation = getattr(operation, "activation", None)
    if not callable(activation):
        return True
    if getattr(activation, "weights", ()):
        return False
    shape = (2, *range(3, 2 + rank))
    return works_in_any_order(activation, shape, channels_last(rank))


def _reverse(array):
    return array[..., ::-1]


def _run(function, array):
    with HeldState():
        returned = function(keras.ops.convert_to_tensor(array))
    return keras.ops.convert_to_numpy(returned)


def _owner(function):
    return function if isinstance(function, keras.Operation) else None
