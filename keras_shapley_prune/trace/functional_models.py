"""What pruning asks of a Keras model: its graph of layers, its inputs, its parts."""

import inspect
import itertools

import keras

from keras_shapley_prune.inputs.models import check_model


def functional_view(model):
    """Returns an uncompiled functional model over the same layers as `model`.

    No layer is called, so nothing about `model` changes.

    Args:
        model: A built `keras.Sequential` or functional `keras.Model`.

    Returns:
        A functional `keras.Model` that shares every layer with `model`.

    Raises:
        RuntimeError: If Keras does not run on TensorFlow.
        ValueError: If `model` is no Keras model, not built, or subclassed.
    """
    check_model(model)
    outputs = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
    return keras.Model(input_structure(model), outputs, name=model.name)


def input_structure(model):
    """Returns the symbolic inputs of a model, structured as it takes them.

    A `keras.Sequential` that has not been called yet has no `input`.

    Args:
        model: A built `keras.Sequential` or functional `keras.Model`.
    """
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def runs_its_graph(operation):
    """Returns whether an operation is a model that computes what its graph says."""
    if not isinstance(operation, keras.Model) or not getattr(operation, "inputs", ()):
        return False
    # A subclass of a functional model may do anything else in a `call` of its own.
    plain = keras.Sequential, type(functional_view(operation))
    return any(type(operation).call is kind.call for kind in plain)


def with_layers(operation):
    """Returns an operation and, of a model, the layers in it."""
    inner = [with_layers(layer) for layer in getattr(operation, "layers", ())]
    return [operation, *itertools.chain.from_iterable(inner)]


def takes_training(operation):
    """Returns whether the call of an operation has an argument `training`."""
    return "training" in inspect.signature(operation.call).parameters


def new_inputs(structure, shapes=None):
    """Returns fresh `keras.Input`s shaped, typed and named like others.

    Optional ones (`keras.Input(optional=True)`) are optional again.

    Args:
        structure: The (nested) symbolic inputs.
        shapes: List of the shapes of the inputs, with the batch, or `None` for the
            same shapes.
    """
    flat = keras.tree.flatten(structure)
    fresh = [
        keras.Input(
            batch_shape=shape,
            dtype=x.dtype,
            name=x.name,
            optional=_is_optional(x),
        )
        for x, shape in zip(flat, shapes or [x.shape for x in flat], strict=True)
    ]
    return keras.tree.pack_sequence_as(structure, fresh)


def _is_optional(symbolic):
    # The tensor does not say so, but the `InputLayer` that made it does.
    history = getattr(symbolic, "_keras_history", None)
    return getattr(history and history.operation, "optional", False)
