"""The check that a model in another order of axes returns what the original does."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.recording import record_graph

TOLERANCE = 1e-4  # of the largest output
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
        difference = describe_difference(expected, received, TOLERANCE)
        return difference and f"returns {difference}"
    return fault


def _run(graph, arrays):
    """Returns what a model returns, also on a CPU.

    TensorFlow has most operations on channels_first for GPUs only. Compiled by XLA,
    they run on CPUs too; but what XLA lacks has to be run without.
    """
    values = graph.feed([keras.ops.convert_to_tensor(array) for array in arrays])
    with HeldState(), contextlib.suppress(Exception):
        return graph.collect(_compute(graph.calls, values, graph.outputs))
    with HeldState(), contextlib.suppress(Exception):
        return graph.collect(_compile(graph.calls, values, graph.outputs))
    with HeldState():
        for call in graph.calls:
            try:
                values |= _compute([call], values, call.outputs)
            except Exception:
                values |= _compile([call], values, call.outputs)
    return graph.collect(values)


def _compute(calls, values, wanted):
    """Returns what calls make of values, a dict: tensor -> value of those wanted."""
    values = dict(values)
    run_calls(calls, values)
    return {tensor: values[tensor] for tensor in wanted}


def _compile(calls, values, wanted):
    """Does the same, compiled by XLA."""
    given = {x: values[x] for call in calls for x in call.inputs if x in values}

    @tf.function(jit_compile=True)
    def run(arrays):
        computed = _compute(calls, dict(zip(given, arrays, strict=True)), wanted)
        return list(computed.values())

    return dict(zip(wanted, run(list(given.values())), strict=True))


def _draw(tensor, length, generator):
    """Returns a random array in the place of a symbolic input."""
    first, *others = tensor.shape
    shape = (first or 2, *(n or length for n in others))
    if keras.backend.is_float_dtype(tensor.dtype):
        return generator.normal(size=shape).astype("float32")
    return generator.integers(0, 2, shape).astype(tensor.dtype)
