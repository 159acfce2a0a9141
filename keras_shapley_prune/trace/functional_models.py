"""What pruning asks of a Keras model: its graph of layers, its inputs, its parts."""

import itertools

import keras
from keras.src.models.functional import Functional

from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.trace.own_calls import computes_its_graph, describe_own_call
from keras_shapley_prune.trace.unique_names import UniqueNames


def functional_view(model, checked=True):
    """Returns an uncompiled functional model over the same layers as `model`.

    No layer is called, so nothing about `model` changes.

    Args:
        model: A built `keras.Sequential` or functional `keras.Model`.
        checked: Boolean, whether it is an error if a `call` of its own computes
            something else than the graph.

    Returns:
        A functional `keras.Model` that shares every layer with `model`.

    Raises:
        RuntimeError: If Keras does not run on TensorFlow.
        ValueError: If `model` is no Keras model, not built, subclassed, or has a `call`
            of its own that computes something else than its graph.
    """
    check_model(model)
    view = _view(model)
    if checked and not computes_its_graph(model, view):
        raise ValueError(
            "Argument `model` should compute what its graph of layers does, which is "
            f"what is pruned. Received: model {model.name!r} (of type {type(model)}), "
            f"{describe_own_call(model, view)}. Use the model that "
            "`keras_shapley_prune.to_functional(model)` returns, which has it in its "
            "graph, or `keras.Model(model.inputs, model.outputs)`, which goes without"
        )
    return view


def view_to_clone(model, checked=True):
    """Returns what `functional_view` does, or the model itself if that is the same.

    Most models are plain functional ones. To build a second one over their layers takes
    as long as to record the graph of a small model.

    Args:
        model: See `functional_view`.
        checked: See `functional_view`.

    Returns:
        A functional `keras.Model`, for `clone_model` alone: it may be the user's.
    """
    if not _is_plain(model) or model.compiled:  # the clone would be compiled too
        return functional_view(model, checked)
    check_model(model)
    return model


def _is_plain(model):
    """Returns whether a model is of Keras's functional class, with its methods."""
    return type(model) is Functional and not vars(model).keys() & {"call", "__call__"}


def _view(model):
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
    return _is_plain(operation) or computes_its_graph(operation, _view(operation))


def with_layers(operation):
    """Returns an operation and, of a model, the layers in it."""
    inner = [with_layers(layer) for layer in getattr(operation, "layers", ())]
    return [operation, *itertools.chain.from_iterable(inner)]


def new_inputs(structure, shapes=None):
    """Returns fresh `keras.Input`s shaped, typed and named like others.

    Optional ones (`keras.Input(optional=True)`) are optional again. The second of two
    of one name gets a number, as Keras takes no two alike: the same tensor may be read
    twice (`attention(x, x)`).

    Args:
        structure: The (nested) symbolic inputs.
        shapes: List of the shapes of the inputs, with the batch, or `None` for the
            same shapes.
    """
    flat, names = keras.tree.flatten(structure), UniqueNames()
    fresh = [
        _new_input(x, shape, names)
        for x, shape in zip(flat, shapes or [x.shape for x in flat], strict=True)
    ]
    return keras.tree.pack_sequence_as(structure, fresh)


def _new_input(symbolic, shape, names):
    """Returns a symbolic input like another, of a shape, with the batch."""
    # The tensor does not say all of it, but the `InputLayer` that made it does. That
    # has a name of its own where `keras.Input` was given none.
    history = getattr(symbolic, "_keras_history", None)
    layer = history and history.operation
    is_input = isinstance(layer, keras.layers.InputLayer)
    return keras.Input(
        tensor=keras.KerasTensor(shape, dtype=symbolic.dtype, name=symbolic.name),
        name=names.take(layer.name if is_input else symbolic.name),
        optional=is_input and layer.optional,
    )
