"""The check that a model that was made anew returns what the original does."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.masked_run import find_tolerance
from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.recording import record_graph

LENGTHS = 32, 64, 224, 8  # tried where a model does not fix the length of an axis


def find_difference(model, converted):
    """Returns how a model that was made anew differs from the original.

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
        try:
            received = _run(record_graph(converted), arrays)
        except Exception as error:
            return f"cannot be run: {first_line(error)}"
        difference = describe_difference(expected, received, find_tolerance(graph))
        return difference and f"returns {difference}"
    return fault


def _run(graph, arrays):
    """Returns what a model returns, also on a CPU.

    TensorFlow has most operations on channels_first for GPUs only. Compiled by XLA,
    they run on CPUs too.
    """
    values = graph.feed([keras.ops.convert_to_tensor(array) for array in arrays])
    compiled = not tf.config.list_logical_devices("GPU")
    with HeldState():
        for call in graph.calls:
            if find_data_format(call.operation) == "channels_first":
                values |= _run_traced(call, values, compiled)
            else:
                run_calls([call], values)
    return graph.collect(values)


def _run_traced(call, values, compiled):
    """Returns what a call makes of values, a dict: tensor -> value."""

    def run(*arrays):
        computed = dict(zip(call.inputs, arrays, strict=True))
        run_calls([call], computed)
        return [computed[tensor] for tensor in call.outputs]

    # Lengths that are not fixed are not known here either, as when a model is trained:
    # Keras adds a bias to another axis where it knows two of them to be alike.
    signature = [tf.TensorSpec(x.shape, values[x].dtype) for x in call.inputs]
    read = call.read(values)
    try:
        function = tf.function(run, jit_compile=compiled)
        returned = function.get_concrete_function(*signature)(*read)
    except Exception:  # of what XLA lacks
        returned = run(*read)
    return dict(zip(call.outputs, returned, strict=True))


def _draw(tensor, length, generator):
    """Returns a random array in the place of a symbolic input."""
    first, *others = tensor.shape
    shape = (first or 2, *(n or length for n in others))
    if tensor.dtype == "string":
        return np.full(shape, "")
    if keras.backend.is_float_dtype(tensor.dtype):
        return generator.normal(size=shape).astype("float32")
    return generator.integers(0, 2, shape).astype(tensor.dtype)
