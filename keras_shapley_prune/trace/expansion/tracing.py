"""One call of a layer as a functional model."""

import keras
from keras.layers import InputLayer

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.stock.recreation import pass_on, tell_apart
from keras_shapley_prune.trace.functional_models import new_inputs
from keras_shapley_prune.trace.graph import fill_in, is_symbolic


class LeftWholeError(Exception):
    """Why a layer cannot be replaced by a functional model."""


def run_call(layer, args, kwargs):
    """Returns a functional model of one call of a layer."""
    given = keras.tree.flatten((args, kwargs))
    if any(getattr(leaf, "_keras_mask", None) is not None for leaf in given):
        raise LeftWholeError("reads a mask of time steps")
    if layer.activity_regularizer is not None:
        raise LeftWholeError("has an activity regularizer")
    fresh = new_inputs([leaf for leaf in given if is_symbolic(leaf)])
    args, kwargs = fill_in((args, kwargs), [_cast(tensor, layer) for tensor in fresh])
    try:
        outputs = layer.call(*args, **kwargs)
        outputs = keras.tree.map_structure(
            lambda output: _behind_a_layer(output, fresh), outputs
        )
        return keras.Model(fresh, outputs, name=layer.name)
    except Exception as error:  # whatever its code does with what is no number
        reason = f"cannot be run on symbolic tensors: {first_line(error)}"
        raise LeftWholeError(reason) from error


def describe_calls(model):
    """Returns what a model calls: its layers, and raw operations by their kind."""
    called = [o for o in model.operations if not isinstance(o, InputLayer)]
    return [o if tell_apart(o) else type(o) for o in called]


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
