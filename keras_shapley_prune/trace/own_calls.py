"""Models whose class has a `call` of its own: whether that is what their graph says."""

import weakref

import keras

from keras_shapley_prune.trace.expansion.equivalence import find_difference, find_read

_METHODS = "call", "__call__"
# model -> its settings when it was tried, and what its call does beside its graph
_tried = weakref.WeakKeyDictionary()


def computes_its_graph(model, view):
    """Returns whether a model returns what its graph of layers does.

    A subclass may do anything else in a `call` of its own. One that does nothing to
    what its parent's returns is found by running it on random numbers.

    Args:
        model: A built Sequential or functional `keras.Model`.
        view: A functional `keras.Model` of its graph, of no class of the user's.
    """
    return not _has_own_call(model, view) or describe_own_call(model, view) is None


def describe_own_call(model, view):
    """Returns what the `call` of a model does beside its graph, or `None`.

    Args:
        model: A `keras.Model` of a class with a `call` of its own.
        view: See `computes_its_graph`.

    Returns:
        String that goes on after the model's name, or `None` if it does nothing.
    """
    settings = _settings_of(model, view)
    if model not in _tried or _tried[model][0] != settings:
        _tried[model] = settings, _try(model, view)
    return _tried[model][1]


def _has_own_call(model, view):
    if any(name in vars(model) for name in _METHODS):
        return True
    return not any(
        all(getattr(type(model), name) is getattr(kind, name) for name in _METHODS)
        for kind in (keras.Sequential, type(view))
    )


def _settings_of(model, view):
    """Returns what a verdict holds for: attributes that `call` may go by."""
    plain = (bool, int, float, str, type(None))
    attributes = [(k, v) for k, v in vars(model).items() if isinstance(v, plain)]
    return attributes, [id(layer) for layer in view.layers]


def _try(model, view):
    args = (view.input,)
    for training, when in ((False, ""), (True, " in training")):
        difference = find_difference(model, view, args, {}, training)
        if difference is not None:
            return f"whose own `call`{when} {difference}"
    known = {id(weight) for weight in view.weights}
    others = [weight for weight in model.weights if id(weight) not in known]
    read = find_read(model, others, args, {})
    if not read:
        return None
    return f"whose own `call` reads weights that are in no layer: {read}"
