"""What a layer remembers beside its weights: seeds, and states of recurrent layers."""

import contextlib

import keras
import numpy as np


def state_variables(operation):
    """Returns what a layer remembers from one call to the next beside its weights.

    Args:
        operation: A layer, or any other operation: that remembers nothing.

    Returns:
        List of `keras.Variable`: the states of seed generators, and of stateful
        recurrent layers; those of the layers within it too.
    """
    if not isinstance(operation, keras.Layer):
        return []
    weights = {id(weight) for weight in operation.weights}
    found = [v for v in operation.variables if id(v) not in weights]
    for layer in operation._flatten_layers():
        if getattr(layer, "stateful", False):  # Keras does not track these
            found.extend(keras.tree.flatten(getattr(layer, "states", None) or ()))
    return found


def pair_states(operation, copied):
    """Returns pairs of what an operation remembers, and what its copy does.

    Args:
        operation: The original.
        copied: Its copy. What has another shape in it is not among the pairs.

    Returns:
        List of tuples of two `keras.Variable`s.
    """
    ours, theirs = state_variables(operation), state_variables(copied)
    if len(ours) != len(theirs):  # the copy was made without, or is built later
        return []
    pairs = zip(ours, theirs, strict=True)
    return [(a, b) for a, b in pairs if tuple(a.shape) == tuple(b.shape)]


def copy_states(operation, copied):
    """Lets a copy go on from where its original is, and draw what that would draw.

    Args:
        operation: The original.
        copied: Its copy.
    """
    for ours, theirs in pair_states(operation, copied):
        theirs.assign(ours)


@contextlib.contextmanager
def kept_states(*models):
    """Puts back at its end what runs of models have changed, but for what they learn.

    `HeldState` does so for single calls; this is for what Keras runs, such as
    `model.evaluate`.

    Args:
        *models: `keras.Model`s.
    """
    before = [
        (variable, variable.numpy())
        for model in models
        for variable in _what_runs_change(model)
    ]
    attributes = [(vars(model), dict(vars(model))) for model in models]
    try:
        yield
    finally:
        for held, known in attributes:  # such as what Keras has compiled to evaluate
            held.clear()
            held.update(known)
        for variable, value in before:
            if not np.array_equal(variable.numpy(), value):
                variable.assign(value)


def _what_runs_change(model):
    """Returns the variables of a model that it changes without being trained."""
    measured = model.metrics_variables  # what `evaluate` has counted
    return [*model.non_trainable_weights, *state_variables(model), *measured]
