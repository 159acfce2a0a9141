"""One call of a layer as a functional model."""

import dataclasses

import keras
from keras.layers import InputLayer

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.stock.recreation import (
    pass_on,
    read_config,
    tell_apart,
)
from keras_shapley_prune.layer_types.stock.tensorflow_calls import symbolic_tensorflow
from keras_shapley_prune.trace.expansion.known_parents import (
    find_equal_parent,
    keep_known_arguments,
)
from keras_shapley_prune.trace.expansion.own_values import (
    WatchedCalls,
    symbolic_weights,
)
from keras_shapley_prune.trace.functional_models import new_inputs
from keras_shapley_prune.trace.graph import fill_in, is_symbolic


class LeftWholeError(Exception):
    """Why a layer cannot be replaced by a functional model."""


class NoGraphError(LeftWholeError):
    """Why it cannot, whatever is known of sizes."""


@dataclasses.dataclass(frozen=True, eq=False)
class TracedCall:
    """A call of a layer, traced.

    Attributes:
        model: The functional model of the list of what the layer reads.
        draws: Boolean, whether it draws random numbers outside of the layers it calls.
            Then what it drew while it was traced is a constant of the model.
        returned: What the call returned, symbolic tensors and `None` in it. The model
            returns a list of the tensors if there is a `None`.
    """

    model: keras.Model
    draws: bool
    returned: object


def run_call(layer, args, kwargs, held, fix=None):
    """Returns the `TracedCall` of a layer.

    Args:
        layer: A `keras.Layer` or `keras.Model`.
        args: Tuple, what it is called with, symbolic tensors among it.
        kwargs: Dict, the same by name.
        held: The `HeldWeights` that return the layer's own weights.
        fix: Optional callable `fn(tensors)` that returns symbolic tensors to trace with
            in the place of those that are read, such as of known sizes.

    Raises:
        LeftWholeError: If it cannot be traced.
    """
    given = keras.tree.flatten((args, kwargs))
    if any(getattr(leaf, "_keras_mask", None) is not None for leaf in given):
        raise NoGraphError("reads a mask of time steps")
    if layer.activity_regularizer is not None:
        raise NoGraphError("has an activity regularizer")
    read = [leaf for leaf in given if is_symbolic(leaf)]
    fresh = new_inputs(fix(read) if fix else read)
    args, kwargs = fill_in((args, kwargs), [_cast(tensor, layer) for tensor in fresh])

    def run_inside(inner, args, kwargs, error):
        try:
            return _run_inside(inner, args, kwargs, held)
        except LeftWholeError:
            raise error from None

    watched = WatchedCalls(layer, fresh[0], run_inside)
    try:
        with (
            symbolic_weights(layer, fresh[0], held),
            watched.watch(),
            symbolic_tensorflow(),
        ):
            outputs = layer.call(*args, **kwargs)
        outputs = keras.tree.map_structure(
            lambda output: _behind_a_layer(watched.hold(output), fresh), outputs
        )
        tensors = [x for x in keras.tree.flatten(outputs) if x is not None]
        is_whole = len(tensors) == len(keras.tree.flatten(outputs))
        model = keras.Model(fresh, outputs if is_whole else tensors, name=layer.name)
    except Exception as error:  # whatever its code does with what is no number
        reason = f"cannot be run on symbolic tensors: {first_line(error)}"
        raise LeftWholeError(reason) from error
    if watched.made:
        names = [made.name for made in watched.made]
        raise NoGraphError(f"makes layers with weights in each call: {names}")
    return TracedCall(model, watched.draws, outputs)


def _run_inside(layer, args, kwargs, held):
    """Returns what a layer returns that is called within another, through a model."""
    others = {name: value for name, value in kwargs.items() if name != "training"}
    parent = find_equal_parent(layer, args, others)
    if parent is not None:
        args, kwargs = keep_known_arguments(parent, args, kwargs)
        return parent(*args, **kwargs)
    traced = run_call(layer, args, kwargs, held)
    read = [x for x in keras.tree.flatten((args, kwargs)) if is_symbolic(x)]
    tensors = iter(keras.tree.flatten(traced.model(read)))
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else next(tensors), traced.returned
    )


def describe_calls(model, layer):
    """Returns what a model calls: its layers, and what has no weights by its kind.

    Args:
        model: The functional model of a layer.
        layer: The layer. What it calls but does not keep was made by the call.
    """
    kept = {id(inner) for inner in layer._flatten_layers()}
    called = [o for o in model.operations if not isinstance(o, InputLayer)]
    return [_describe(o, id(o) in kept, layer) for o in called]


def _describe(operation, is_kept, layer):
    if isinstance(operation, keras.Model) and not is_kept:
        return tuple(describe_calls(operation, layer))
    if is_kept or getattr(operation, "weights", ()):
        return operation if tell_apart(operation) else type(operation)
    if not tell_apart(operation):
        return type(operation)
    config = {k: v for k, v in read_config(operation).items() if k != "name"}
    return type(operation), repr(config)


def _cast(tensor, layer):
    """Returns what the layer's `call` gets of a tensor."""
    is_float = keras.backend.is_float_dtype(tensor.dtype)
    if not layer.autocast or not is_float or tensor.dtype == layer.compute_dtype:
        return tensor
    return keras.ops.cast(tensor, layer.compute_dtype)


def _behind_a_layer(output, inputs):
    """Returns an output that is not an input: of such a model Keras makes a cycle."""
    passed = any(output is tensor for tensor in inputs)
    return pass_on(output) if passed else output
