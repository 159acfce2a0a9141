"""The walk that puts functional models in the place of layers made of layers."""

import keras

from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.obstacles import KEPT_WHOLE, find_obstacle
from keras_shapley_prune.layer_types.own_state import describe_own_state
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.stock.marked_sizes import free_slice
from keras_shapley_prune.layer_types.stock.recreation import (
    calls_a_function,
    free_unknown_length,
    renew_identity,
)
from keras_shapley_prune.layer_types.stock.tensorflow_calls import calls_tensorflow
from keras_shapley_prune.layer_types.trainable_flags import take_own_flag
from keras_shapley_prune.layer_types.trial.trial_type import TrialType
from keras_shapley_prune.layer_types.twins import Twins
from keras_shapley_prune.trace.expansion.forms import FormMaker
from keras_shapley_prune.trace.expansion.known_parents import keep_known_arguments
from keras_shapley_prune.trace.expansion.tracing import LeftWholeError
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    new_inputs,
    runs_its_graph,
    with_layers,
)
from keras_shapley_prune.trace.graph import Call, is_symbolic


class _StartAgain(Exception):  # noqa: N818
    """A layer that has been made a functional model cannot be one."""


class Expander:
    """Makes functional models of layers that are made of layers.

    Attributes:
        left_whole: Dict: layer -> why it is not replaced.
        simplified: Dict: layer -> what of its training is lost.
    """

    def __init__(self):
        self.left_whole, self.simplified = {}, {}
        self._forms = {}  # layer -> dict: how it is called -> what takes its place
        self._models = {}  # nested model -> the one in its place
        self._twins = Twins()  # what is called in the place of what stays as it is
        self._refused = {}  # layer -> why it has no functional model
        self._maker = FormMaker(self.expand)

    def run(self, function, *args):
        """Returns what a method of this returns."""
        while True:
            self.left_whole, self.simplified = {}, {}
            self._forms, self._models, self._twins = {}, {}, Twins()
            try:
                return function(*args)
            except _StartAgain:
                continue

    def expand(self, model):
        """Returns a functional model in which those within it have a graph too.

        Layers that stay as they are have twins in it, which share all with them.
        """
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
        form, lost = self._maker.make(layer, args, kwargs)
        if lost is not None:
            self.simplified[layer] = lost
        return form

    def _call(self, operation, *args, **kwargs):
        """Calls an operation, or what has taken its place."""
        operation = renew_identity(free_unknown_length(operation))
        sliced = free_slice(operation, args, kwargs)
        if sliced is not None:
            return sliced
        nested = runs_its_graph(operation)
        if all(map(_is_known, with_layers(operation) if nested else [operation])):
            return self._twins.of(operation)(*args, **kwargs)
        if nested:
            if operation not in self._models:
                self._models[operation] = self._expand_nested(operation)
            return self._models[operation](*args, **kwargs)
        if calls_a_function(operation):
            # What a trial finds channelwise is best as its author wrote it.
            twin = self._twins.of(operation)
            returned = twin(*args, **kwargs)
            if _is_followed(twin, args, kwargs, returned):
                return returned
        others = {name: value for name, value in kwargs.items() if name != "training"}
        try:
            form = self._form_of(operation, args, others)
        except LeftWholeError as reason:
            twin = self._twins.of(operation)
            returned = twin(*args, **kwargs)
            if not _is_followed(twin, args, kwargs, returned):
                self.left_whole[operation] = str(reason)
                KEPT_WHOLE.add(twin)
            return returned
        tensors = [x for x in keras.tree.flatten((args, others)) if is_symbolic(x)]
        if not isinstance(form, keras.Model):  # a layer, called alike
            args, kwargs = keep_known_arguments(form, args, kwargs)
            return self._twins.of(form)(*args, **kwargs)
        return form(tensors, training=kwargs.get("training"))

    def _expand_nested(self, model):
        """Returns a nested model with a graph within, its twin if nothing changes."""
        view = functional_view(model)
        expanded = self.expand(view)
        before = set(map(self._twins.of, _without_inputs(view)))
        if before == set(_without_inputs(expanded)):
            return self._twins.of(model)
        take_own_flag(model, expanded)
        return expanded

    def _form_of(self, layer, args, kwargs):
        """Returns what takes the place of a layer: one for all its calls.

        One for each way in which it is called, if it has no weights.
        """
        if layer in self._refused:
            raise LeftWholeError(self._refused[layer])
        called = repr(
            keras.tree.map_structure(
                lambda leaf: leaf.shape if is_symbolic(leaf) else leaf, (args, kwargs)
            )
        )
        forms = self._forms.setdefault(layer, {})
        if forms and called not in forms and layer.weights:
            # Then none of its calls is replaced, the first neither: a layer that two
            # nested models share is no longer shared once they have been saved.
            self._refused[layer] = "is called in different ways"
            raise _StartAgain
        for form in forms.values():
            if not isinstance(form, keras.Model):  # a layer, which serves for all
                return form
        if called not in forms:
            form = self._make(layer, args, kwargs)
            if forms:
                form.name = f"{layer.name}_{len(forms) + 1}"
            forms[called] = form
        return forms[called]

    def _make(self, layer, args, kwargs):
        form, lost = self._maker.make(layer, args, kwargs)
        if lost is not None or calls_tensorflow(form):
            # As it is nothing of it is lost, and parts of it may be less well known.
            returned = self._twins.of(layer)(*args, **kwargs)
            if _is_followed(layer, args, kwargs, returned):
                raise LeftWholeError(lost or "calls functions of TensorFlow")
        if lost is not None:
            self.simplified[layer] = lost
        return form


def _is_known(operation):
    """Returns whether there is nothing to find out about a layer or raw operation.

    It is registered, Keras's own but for a user's function in it, or no layer, and so
    calls none. What only a trial has found of a layer is not enough if what it saves
    stands against cutting it.
    """
    layer_type = find_layer_type(operation)
    if isinstance(layer_type, TrialType):
        return describe_own_state(operation) is None
    own = type(operation).__module__.startswith("keras.src.")
    own = own or not isinstance(operation, keras.Layer)
    return layer_type is not None or (own and not calls_a_function(operation))


def _is_followed(operation, args, kwargs, returned):
    """Returns whether channels pass a layer as it is, by a trial."""
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if is_symbolic(x)]
    outputs = keras.tree.flatten(returned)
    call = Call(
        0, operation, args, kwargs, tuple(inputs), tuple(outputs), operation.name
    )
    with HeldState():
        return find_obstacle(call) is None


def _without_inputs(model):
    """Returns the operations of a model, without its input layers."""
    inputs = {tensor._keras_history.operation for tensor in model.inputs}
    return [operation for operation in model.operations if operation not in inputs]
