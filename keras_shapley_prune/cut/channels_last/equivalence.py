"""The check that a model in another order of axes returns what the original does."""

import keras
import numpy as np

from keras_shapley_prune.cut.channels_last.converter import make_anew
from keras_shapley_prune.cut.masked_run import TOLERANCES
from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.layouts.orders import same_order, steps_between
from keras_shapley_prune.layer_types.layouts.recipe import Placed, as_before
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.layer_types.stock.layouts import find_rule
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.recording import record_graph

LENGTHS = 32, 64, 224, 8  # tried where a model does not fix the length of an axis


def find_difference(model, converted):
    """Returns how a model that was converted differs from the original.

    Both are run on two examples of random numbers.

    Args:
        model: The original `keras.Model`.
        converted: The other one, of the same inputs.

    Returns:
        String, or `None` if both return the same.
    """
    graph, fault = record_graph(model), None
    for length in LENGTHS:
        generator = np.random.default_rng(0)
        arrays = [_draw(tensor, length, generator) for tensor in graph.inputs]
        try:
            expected = _run(graph, arrays)
        except Exception as error:  # perhaps of another length
            fault = fault or f"cannot be compared: {first_line(error)}"
            continue
        structure = keras.tree.pack_sequence_as(graph.input_structure, arrays)
        try:
            with HeldState():  # as `_run`: both draw the same numbers
                received = converted(structure, training=False)
        except Exception as error:
            return f"cannot be run: {first_line(error)}"
        difference = describe_difference(expected, received, _tolerance(graph))
        return difference and f"returns {difference}"
    return fault


def _run(graph, arrays):
    """Returns what a model returns, also on a CPU.

    TensorFlow has most operations on channels_first for GPUs only. On a CPU they are
    run on channels_last, each by itself between two transpositions. (Compiled by XLA
    they would run too, but return wrong numbers where the width of the output equals
    the number of its channels, TensorFlow 2.21.)
    """
    values = graph.feed([keras.ops.convert_to_tensor(array) for array in arrays])
    with HeldState():
        for call in graph.calls:
            try:
                run_calls([call], values)
            except Exception:
                if find_data_format(call.operation) != "channels_first":
                    raise
                values[call.outputs[0]] = _run_alone(call, values[call.inputs[0]])
    return graph.collect(values)


def _tolerance(graph):
    """Returns by how much of the largest output two networks may differ, a float."""
    used = {getattr(call.operation, "compute_dtype", None) for call in graph.calls}
    return max([TOLERANCES[kind] for kind in used if kind in TOLERANCES], default=1e-4)


def _run_alone(call, tensor):
    """Returns what a layer in channels_first makes of a tensor, by channels_last."""
    placed = [Placed(tuple(tensor.shape), same_order(len(tensor.shape)))]
    recipe = find_rule(call.operation)(call, placed) or as_before(placed)
    copied = make_anew(call.operation, recipe.config)
    turned = keras.ops.transpose(tensor, recipe.orders[0])
    if isinstance(copied, keras.Layer):
        copied.build(turned.shape)
        copied.set_weights(call.operation.get_weights())
    returned = copied(turned)
    order = recipe.outputs(len(returned.shape))
    return keras.ops.transpose(returned, steps_between(order, same_order(len(order))))


def _draw(tensor, length, generator):
    """Returns a random array in the place of a symbolic input."""
    first, *others = tensor.shape
    shape = (first or 2, *(n or length for n in others))
    if keras.backend.is_float_dtype(tensor.dtype):
        return generator.normal(size=shape).astype("float32")
    return generator.integers(0, 2, shape).astype(tensor.dtype)
