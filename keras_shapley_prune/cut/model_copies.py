"""Copies of whole models: of their operations, and of the models nested in them."""

import keras

from keras_shapley_prune.cut.layer_copies import copy_operation, copy_weights
from keras_shapley_prune.cut.model_classes import new_sequential, take_class
from keras_shapley_prune.cut.state_copies import copy_states
from keras_shapley_prune.layer_types.stepwise.layer import (
    at_steps,
    count_depth,
    innermost,
)
from keras_shapley_prune.layer_types.stock.time_distributed import (
    find_wrapped,
    wrap_again,
)
from keras_shapley_prune.layer_types.trainable_flags import copy_flags
from keras_shapley_prune.trace.functional_models import (
    input_structure,
    new_inputs,
    runs_its_graph,
    view_to_clone,
)


class ModelCopier:
    """Re-creates a model, and those nested in it.

    Every operation and nested model has one copy, however often it is called: shared
    weights are shared in the copy too. A subclass says what its copies do not have of
    the original.

    Args:
        graph: The recorded `Graph` of the model.

    Attributes:
        operations: Dict: operation of the model -> its copy. What the copy goes without
            is not in it.
        has_gone: Boolean, whether it goes without some operations.
    """

    has_gone = False

    def __init__(self, graph):
        self._models, self._copies, self.operations = {}, {}, {}  # original -> copy
        # What is called at every time step is copied as what is called at one.
        self._called_as = {}  # operation -> as the calls of the graph have it
        for call in graph.calls:
            names = self._called_as.setdefault(innermost(call.operation), {})
            names[call.operation] = None

    def copy_model(self, model):
        """Returns a Sequential or functional model of copies of its operations."""
        outermost = not self._models
        self._models[model] = None  # stands before those that are nested in it
        structure = input_structure(model)
        inputs = new_inputs(structure, self.input_shapes(model, structure))
        # A Sequential model becomes one again: its view would become functional.
        if isinstance(model, keras.Sequential):
            layers = [self.copy(layer) for layer in self.find_layers(model)]
            copied = new_sequential(model, [inputs, *layers], outermost)
        else:
            copied = keras.models.clone_model(
                view_to_clone(model),
                input_tensors=inputs,
                clone_function=lambda operation: operation,  # copied where called
                call_function=self.make_caller(None if outermost else model),
            )
        if outermost:  # nested, it is not trained by itself
            copies = {**self._models, **self.operations}
            copied = take_class(model, copied, copies, self.has_gone)
        self._models[model] = copied
        return copied

    def copy_trainable_flags(self):
        """Sets the flags of models, of their layers, and of all within those."""
        # `_models` is in the order outer before inner, so that the inner flag wins.
        copy_flags([*self._models.items(), *self.operations.items()])

    def copy_weights(self):
        """Copies weights and states."""
        for original, copied in self.operations.items():
            if isinstance(innermost(original), keras.Layer):
                self.copy_weights_of(original, copied)
                copy_states(original, copied)

    def copy(self, operation):
        """Returns the one copy of an operation, nested model or wrapper."""
        if self._models.get(operation) is not None:
            return self._models[operation]
        if runs_its_graph(operation):
            return self.copy_model(operation)
        wrapped = find_wrapped(operation)
        if wrapped is not None and operation not in self._called_as:
            self._models[operation] = None  # as of a model, before what is in it
            self._models[operation] = wrap_again(operation, self.copy(wrapped))
            return self._models[operation]
        if operation not in self._copies:
            copied = self._copies[operation] = self.make(operation)
            for called in self._called_as.get(operation, [operation]):
                self.operations[called] = at_steps(copied, count_depth(called))
        return self._copies[operation]

    def make(self, operation):
        """Returns a new operation like one of the model, its weights not copied."""
        return copy_operation(operation, {})

    def copy_weights_of(self, operation, copied):
        """Copies the weights of one operation.

        Args:
            operation: The original.
            copied: What `make` returned of it.
        """
        copy_weights(operation, copied, {})

    def input_shapes(self, model, structure):
        """Returns the shapes of the inputs of a copy, or `None` for the same.

        Args:
            model: The model, or one that is nested in it.
            structure: Its (nested) symbolic inputs.
        """
        return

    def find_layers(self, model):
        """Returns which layers of a Sequential model have copies."""
        return model.layers

    def make_caller(self, model):
        """Returns a callable that makes the calls of one model with copies, in order.

        Args:
            model: The nested model, `None` for the outermost: see `Call.node`.

        Returns:
            Callable `fn(operation, *args, **kwargs)` that returns what the copy does.
        """
        return lambda operation, *args, **kwargs: self.copy(operation)(*args, **kwargs)
