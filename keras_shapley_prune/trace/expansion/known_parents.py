"""Layers of subclasses that override `call`, and compute what their parent computes."""

import inspect
import weakref

import keras

from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.masked_calls import takes_training
from keras_shapley_prune.layer_types.registry import LAYER_TYPES, find_letters
from keras_shapley_prune.layer_types.twins import make_twin
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.expansion.equivalence import TOLERANCE, random_runs

# layer -> one that computes as its parent does, as long as some graph holds it
_twins = weakref.WeakKeyDictionary()


def find_equal_parent(layer, args, kwargs):
    """Returns a layer of a registered class that returns what a subclass's does.

    Such as an attention that may be given a cache, and is called without one. The two
    share their weights and everything else.

    Args:
        layer: The layer.
        args: See `Expander.trace`.
        kwargs: See `Expander.trace`.

    Returns:
        A layer, or `None` if the class is not derived from a registered one, or
        computes something else.
    """
    kinds = type(layer).__mro__[1:]
    parent = next((kind for kind in kinds if kind in LAYER_TYPES), None)
    if parent is None or isinstance(layer, keras.Model):
        return None
    twin = _twins[layer]() if layer in _twins else None
    if twin is None:
        twin = make_twin(layer, parent)
        # Not the twin itself: it holds the layer, by the methods that Keras wraps.
        _twins[layer] = weakref.ref(twin)
    if any(find_letters(twin, weight) is None for weight in layer.weights):
        return None
    try:
        keep_known_arguments(twin, args, kwargs)
        same = all(
            _returns_the_same(layer, twin, args, kwargs, training)
            for training in ([False, True] if takes_training(layer) else [False])
        )
    except Exception:  # whatever either does with arguments that it does not know
        return None
    return twin if same else None


def keep_known_arguments(layer, args, kwargs):
    """Returns the arguments of a call without those of `None` that a layer has not.

    Args:
        layer: The layer that is to be called.
        args: Tuple, positional arguments.
        kwargs: Dict, keyword arguments.

    Raises:
        TypeError: If it has no place for another one.
    """
    known = inspect.signature(type(layer).call).parameters
    kwargs = {k: v for k, v in kwargs.items() if k in known or v is not None}
    inspect.signature(type(layer).call).bind(layer, *args, **kwargs)
    return args, kwargs


def _returns_the_same(layer, twin, args, kwargs, training):
    """Returns whether two layers return the same, with the same random numbers."""
    with HeldState():
        expected = _first_run(layer, args, kwargs, training)
    args, kwargs = keep_known_arguments(twin, args, kwargs)
    with HeldState():
        received = _first_run(twin, args, kwargs, training)
    return describe_difference(expected, received, TOLERANCE) is None


def _first_run(layer, args, kwargs, training):
    runs = random_runs(layer, args, kwargs, training)
    return next(x for _, x in runs if not isinstance(x, Exception))
