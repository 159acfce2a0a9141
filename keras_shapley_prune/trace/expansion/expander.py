"""The walk that puts functional models in the place of layers made of layers."""

import keras

from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.stock.recreation import free_unknown_length
from keras_shapley_prune.trace.expansion.equivalence import find_difference
from keras_shapley_prune.trace.expansion.tracing import (
    LeftWholeError,
    describe_calls,
    run_call,
)
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    new_inputs,
    runs_its_graph,
    takes_training,
    with_layers,
)
from keras_shapley_prune.trace.graph import is_symbolic


class _StartAgain(Exception):  # noqa: N818
    """A layer that has been made a functional model cannot be one."""


class Expander:
    """Makes functional models of layers that are made of layers.

    Attributes:
        left_whole: Dict: layer -> why it is not replaced.
    """

    def __init__(self):
        self.left_whole = {}
        self._forms = {}  # layer -> how it was called, and its functional model
        self._models = {}  # nested model -> the one in its place
        self._refused = {}  # layer -> why it has no functional model

    def run(self, function, *args):
        """Returns what a method of this returns."""
        while True:
            self.left_whole, self._forms, self._models = {}, {}, {}
            try:
                return function(*args)
            except _StartAgain:
                continue

    def expand(self, model):
        """Returns a functional model in which those within it have a graph too."""
        return keras.models.clone_model(
            model,
            input_tensors=new_inputs(model.input),
            clone_function=lambda operation: operation,
            call_function=self._call,
        )

    def trace(self, layer, args, kwargs):
        """Returns the functional model of a layer, of a list of what it reads.

        Args:
            layer: A `keras.Layer` or `keras.Model`.
            args: Tuple, what it is called with, symbolic tensors among it.
            kwargs: Dict, the same by name, without `training`.

        Raises:
            LeftWholeError: If it cannot be replaced.
        """
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        if own:
            raise LeftWholeError(f"has weights of its own: {[v.name for v in own]}")
        # The network around the layer decides on `training`, whatever its default is.
        modes = [{"training": mode} for mode in (None, True)]
        modes = modes if takes_training(layer) else [{}]
        traced, *others = [run_call(layer, args, kwargs | mode) for mode in modes]
        if any(describe_calls(other) != describe_calls(traced) for other in others):
            raise LeftWholeError("does other things in training than in inference")
        read = {id(weight) for weight in traced.weights}
        unread = [weight.path for weight in layer.weights if id(weight) not in read]
        if unread:
            raise LeftWholeError(
                f"has weights that no layer reads when called: {unread}"
            )
        expanded = self.expand(traced)
        difference = find_difference(layer, expanded, args, kwargs)
        if difference:
            raise LeftWholeError(f"as a functional model {difference}")
        return expanded

    def _call(self, operation, *args, **kwargs):
        """Calls an operation, or what has taken its place."""
        operation = free_unknown_length(operation)
        nested = runs_its_graph(operation)
        if all(map(_is_known, with_layers(operation) if nested else [operation])):
            return operation(*args, **kwargs)
        if nested:
            if operation not in self._models:
                self._models[operation] = self.expand(functional_view(operation))
            return self._models[operation](*args, **kwargs)
        others = {name: value for name, value in kwargs.items() if name != "training"}
        try:
            form = self._form_of(operation, args, others)
        except LeftWholeError as reason:
            self.left_whole[operation] = str(reason)
            return operation(*args, **kwargs)
        tensors = [x for x in keras.tree.flatten((args, others)) if is_symbolic(x)]
        return form(tensors, training=kwargs.get("training"))

    def _form_of(self, layer, args, kwargs):
        """Returns the one functional model of a layer, for all its calls."""
        if layer in self._refused:
            raise LeftWholeError(self._refused[layer])
        called = repr(
            keras.tree.map_structure(
                lambda leaf: leaf.shape if is_symbolic(leaf) else leaf, (args, kwargs)
            )
        )
        if layer not in self._forms:
            self._forms[layer] = called, self.trace(layer, args, kwargs)
        first, form = self._forms[layer]
        if first != called:  # then none of its calls is replaced, the first neither
            self._refused[layer] = "is called in different ways"
            raise _StartAgain
        return form


def _is_known(operation):
    """Returns whether there is nothing to find out about a layer or raw operation.

    It is Keras's own, or registered.
    """
    own = type(operation).__module__.startswith("keras.src.")
    return own or find_layer_type(operation) is not None
