"""Tracing a `call` that reads weights of its layer, and calls layers on constants."""

import contextlib
import threading

import keras

from keras_shapley_prune.layer_types.stock.own_weights import (
    hold_constant,
    hold_variable,
    is_array,
)
from keras_shapley_prune.trace.expansion.scalars import plain_numbers
from keras_shapley_prune.trace.unique_names import UniqueNames

_KEPT = "_trainable_variables", "_non_trainable_variables", "_tracker"


class HeldWeights:
    """The layers that return the weights of others, one for each weight."""

    def __init__(self):
        self._held = {}  # id of a variable -> its `OwnWeight`, and the variable
        self._names = {}  # layer -> the names in it that are taken

    def hold(self, layer, variable):
        """Returns the `OwnWeight` of a layer's own weight."""
        if id(variable) not in self._held:
            learned = any(variable is v for v in layer._trainable_variables)
            name = self._names_in(layer).take(variable.name)
            held = hold_variable(variable, layer, learned, name)
            self._held[id(variable)] = held, variable
        return self._held[id(variable)][0]

    def _names_in(self, layer):
        if layer not in self._names:
            self._names[layer] = UniqueNames()
            for inner in layer._flatten_layers():
                self._names[layer].take(inner.name)
        return self._names[layer]


def own_variables(layer):
    """Returns the weights of a layer that are not those of a layer within it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


@contextlib.contextmanager
def symbolic_weights(layer, place, held):
    """Puts symbolic tensors where a layer keeps its own weights.

    In attributes, and in lists and dicts that are attributes. At the end the weights
    are there again.

    Args:
        layer: The layer.
        place: The symbolic tensor that layers which return the weights are called on.
        held: A `HeldWeights`.
    """
    own = {id(v): held.hold(layer, v)(place) for v in own_variables(layer)}

    def replace(value):
        return own.get(id(value), value)

    def holds_some(value):
        return any(id(leaf) in own for leaf in keras.tree.flatten(value))

    # Not by `setattr`, which Keras watches.
    before = {
        name: value
        for name, value in vars(layer).items()
        if own and name not in _KEPT and holds_some(value)
    }
    try:
        for name, value in before.items():
            vars(layer)[name] = _map_leaves(replace, value)
        yield
    finally:
        vars(layer).update(before)


def _map_leaves(function, value):
    """As `keras.tree.map_structure`, into plain lists and dicts."""
    if isinstance(value, dict):
        return {name: _map_leaves(function, entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        mapped = [_map_leaves(function, entry) for entry in value]
        return tuple(mapped) if isinstance(value, tuple) else mapped
    return function(value)


class WatchedCalls:
    """What a `call` that is traced calls, and lets some of it become symbolic.

    Within it, a layer with weights that is called on constants is called on symbolic
    tensors: else it would return a constant, and its weights would be lost.

    Args:
        layer: The layer whose call is traced.
        place: The symbolic tensor that constants are called on.
        run_inside: Callable `fn(layer, args, kwargs, error)` that calls a layer within
            as a functional model, where that layer cannot be called.

    Attributes:
        made: List of layers with weights that were made by the call itself.
        draws: Boolean, whether random numbers were drawn outside of layers.
    """

    def __init__(self, layer, place, run_inside):
        self._run_inside = run_inside
        self._known = {id(inner) for inner in layer._flatten_layers()}
        self._place, self._depth = place, 0
        self._thread = threading.get_ident()
        self.made, self.draws = [], False

    @contextlib.contextmanager
    def watch(self):
        """Watches, until the end of the context."""
        call, draw = keras.Layer.__call__, keras.random.SeedGenerator.next
        subscribe = keras.KerasTensor.__getitem__

        def watched_subscript(tensor, key):
            if is_array(key):  # of numbers of rows
                return keras.ops.take(tensor, key, axis=0)
            # A weight takes a slice alone, a symbolic tensor of Keras a tuple only.
            return subscribe(tensor, (key,) if isinstance(key, slice) else key)

        def watched_call(layer, *args, **kwargs):
            if self._is_outside():
                return call(layer, *args, **kwargs)
            self._depth += 1
            try:
                return self._run(call, layer, args, kwargs)
            finally:
                self._depth -= 1

        def watched_draw(generator, *args, **kwargs):
            self.draws = self.draws or not self._is_outside()
            return draw(generator, *args, **kwargs)

        keras.Layer.__call__ = watched_call
        keras.random.SeedGenerator.next = watched_draw
        keras.KerasTensor.__getitem__ = watched_subscript
        try:
            with plain_numbers():
                yield self
        finally:
            keras.Layer.__call__ = call
            keras.random.SeedGenerator.next = draw
            keras.KerasTensor.__getitem__ = subscribe

    def _is_outside(self):
        """Returns whether a call is one of another thread, or within a layer's."""
        return self._depth > 0 or threading.get_ident() != self._thread

    def _run(self, call, layer, args, kwargs):
        leaves = keras.tree.flatten((args, kwargs))
        if layer.weights and not any(keras.utils.is_keras_tensor(x) for x in leaves):
            args, kwargs = keras.tree.map_structure(self.hold, (args, kwargs))
        try:
            returned = call(layer, *args, **kwargs)
        except (TypeError, ValueError) as error:
            # In a graph a layer returns tensors only, and tells their shapes: its
            # `compute_output_spec` may know fewer arguments than its `call`.
            returned = self._run_inside(layer, args, kwargs, error)
        if layer.weights and id(layer) not in self._known:
            self.made.append(layer)
        return returned

    def hold(self, value):
        """Returns a symbolic tensor for an array, anything else as it is."""
        return hold_constant(value)(self._place) if is_array(value) else value
