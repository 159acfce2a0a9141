"""The walk that puts functional models in the place of layers made of layers."""

import keras
from keras.src.ops.numpy import Reshape

from keras_shapley_prune.expansion.equivalence import find_difference
from keras_shapley_prune.expansion.tracing import (
    LeftWholeError,
    describe_calls,
    run_call,
)
from keras_shapley_prune.graph import (
    functional_view,
    is_symbolic,
    new_inputs,
    runs_its_graph,
    takes_training,
    with_layers,
)
from keras_shapley_prune.layer_specs import find_spec


class _StartAgain(Exception):  # noqa: N818
    """A layer that has been made a functional model cannot be one."""


class Expander:
    """Makes functional models of layers that are made of layers.

    Attributes:
        left_whole: Dict: name of a layer -> why it stays as it is.
    """

    def __init__(self):
        self.left_whole = {}
        self._forms = {}  # layer -> how it was called, and its functional model
        self._refused = {}  # layer -> why it has none

    def run(self, function, *args):
        """Returns what a method of this returns."""
        while True:
            self.left_whole, self._forms = {}, {}
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
            kwargs: Dict, the same by name.

        Raises:
            LeftWholeError: If it stays as it is.
        """
        kwargs = {name: v for name, v in kwargs.items() if name != "training"}
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        if own:
            raise LeftWholeError(f"has weights of its own: {[v.name for v in own]}")
        if takes_training(layer):  # whatever the default: what is around it decides
            kwargs["training"] = True
            training = run_call(layer, args, kwargs)
            kwargs["training"] = None
        traced = run_call(layer, args, kwargs)
        if takes_training(layer) and describe_calls(traced) != describe_calls(training):
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
        if type(operation) is Reshape:
            operation = _with_unknown_length(operation)
        inner = with_layers(operation) if runs_its_graph(operation) else [operation]
        if all(map(_is_known, inner)):
            return operation(*args, **kwargs)
        if runs_its_graph(operation):
            if operation not in self._forms:
                self._forms[operation] = None, self.expand(functional_view(operation))
            return self._forms[operation][1](*args, **kwargs)
        try:
            form = self._form_of(operation, args, kwargs)
        except LeftWholeError as reason:
            self.left_whole[operation.name] = str(reason)
            return operation(*args, **kwargs)
        training = {k: v for k, v in kwargs.items() if k == "training"}
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if is_symbolic(x)]
        try:
            return form(tensors, **training)
        except ValueError:  # it was made of tensors of another shape
            self._refuse(operation, "is called on tensors of different shapes")

    def _form_of(self, layer, args, kwargs):
        """Returns the one functional model of a layer, for all its calls."""
        if layer in self._refused:
            raise LeftWholeError(self._refused[layer])
        called = keras.tree.map_structure(
            lambda leaf: len(leaf.shape) if is_symbolic(leaf) else leaf,
            (args, {k: v for k, v in kwargs.items() if k != "training"}),
        )
        if layer not in self._forms:
            self._forms[layer] = repr(called), self.trace(layer, args, kwargs)
        first, form = self._forms[layer]
        if first != repr(called):
            self._refuse(layer, "is called in different ways")
        return form

    def _refuse(self, layer, reason):
        """Leaves a layer whole, in calls that have been passed already too."""
        self._refused[layer] = reason
        raise _StartAgain


def _is_known(operation):
    """Returns whether there is nothing to find out about a layer or raw operation.

    It is Keras's own, or registered.
    """
    own = type(operation).__module__.startswith("keras.src.")
    return own or find_spec(operation) is not None


def _with_unknown_length(operation):
    """Returns a reshaping with -1 for a length that is not known when it is traced."""
    shape = operation.newshape
    if list(shape).count(None) != 1 or -1 in shape:
        return operation
    return Reshape([-1 if length is None else length for length in shape])
