"""Models made ready to run on a runtime: one inference is one call of a function."""

import importlib.metadata
import importlib.util

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.deploy.conversion import convert
from keras_shapley_prune.deploy.float32_copy import copy_in_float32, find_halves
from keras_shapley_prune.deploy.quantization import import_quantizer, quantize
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.latency.example_inputs import (
    check_batch_size,
    draw,
    read_first,
    resize,
)
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes, sizes_of

_NUM_BATCHES = 4  # to calibrate int8 on: for its speed, ranges need not be exact
_FAILURES = (ValueError, TypeError, RuntimeError, tf.errors.OpError)


class LoadedModel:
    """One inference, as a function of no arguments that ends with the outputs there.

    Attributes:
        file_size: Integer, bytes of the file that is run, `None` if there is none.
    """

    def __init__(self, run, file_size=None):
        self._run, self.file_size = run, file_size

    def __call__(self):
        self._run()


def load_tensorflow(model, batch_size, examples=None):
    """Compiles the forward pass of a model.

    Args:
        model: A built Sequential or functional `keras.Model`.
        batch_size: Integer.
        examples: What `prune` takes, or `None` for what is drawn.

    Returns:
        A `LoadedModel`, which has been run once.

    Raises:
        ValueError: If the model does not take such batches, or such examples.
    """
    graph = record_graph(model)
    check_batch_size(graph, batch_size)
    known = draw(graph, 1) if examples is None else read_first(graph, examples)
    inputs = keras.tree.pack_sequence_as(
        graph.input_structure, resize(known, batch_size)
    )
    try:
        return compile_call(model, inputs)
    except _FAILURES as error:
        raise _cannot_run(model, error) from error


def compile_call(function, inputs):
    """Makes a `LoadedModel` of anything that is called like a model.

    Args:
        function: A `keras.Model`, or a callable of `(inputs, training)`.
        inputs: A tensor, or a structure of them.
    """
    # As arguments: what is computed of constants would be computed once.
    step = tf.function(lambda x: keras.tree.flatten(function(x, training=False)))
    # Traced by a call, TensorFlow would warn of retracing: it counts traces by the line
    # of code, which all models share.
    step.get_concrete_function(inputs)

    def run():
        # Reading the outputs as arrays waits until they have been computed.
        for output in step(inputs):
            output.numpy()

    run()
    return LoadedModel(run)


def load_litert(model, batch_size, examples=None, threads=None, int8=False):
    """Converts a model to a LiteRT file, and opens it.

    Args:
        model: A built Sequential or functional `keras.Model`.
        batch_size: Integer.
        examples: What `prune` takes, or `None` for what is drawn.
        threads: Integer, or `None` for one.
        int8: Boolean, whether the file is quantized, on the examples.

    Returns:
        A `LoadedModel`, which has been run once.

    Raises:
        ImportError: If the packages of `[litert]` are missing.
        ValueError: If the model does not take such batches, or such examples, or cannot
            be converted.
    """
    interpreters, quantizer = import_interpreter(), int8 and import_quantizer()
    graph = record_graph(model)
    check_batch_size(graph, batch_size)
    if examples is None:
        known = draw(graph, _NUM_BATCHES * batch_size if int8 else 1)
    else:
        known = read_first(graph, examples)
        graph = give_sizes(graph, sizes_of(known))
    if find_halves(model):
        model = copy_in_float32(model)
    content = convert(model, graph, batch_size)
    names = [tensor.name for tensor in graph.inputs]
    if int8:
        check_finite_inputs(graph.inputs, [known])  # ranges are taken of them
        content = quantize(quantizer, content, _in_batches(names, known, batch_size))
    inputs = dict(zip(names, resize(known, batch_size), strict=True))
    try:
        run = _open(interpreters, content, inputs, threads)
    except _FAILURES as error:
        raise _cannot_run(model, error) from error
    return LoadedModel(run, len(content))


def import_interpreter():
    """Returns the module of LiteRT's interpreter.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import ai_edge_litert.interpreter
    except ImportError as error:
        raise ImportError(
            "The runtime 'litert' needs the package ai-edge-litert. Install it with: "
            "pip install ai-edge-litert"
        ) from error
    return ai_edge_litert.interpreter


def litert_version():
    """Returns the version of LiteRT as a string, empty if it is not installed."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        return ""
    return importlib.metadata.version("ai-edge-litert")


def _open(interpreters, content, inputs, threads):
    """Returns a function that runs a file once, on inputs that it holds already."""
    interpreter = interpreters.Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    takes = interpreter.get_signature_runner().get_input_details()
    for name, details in takes.items():
        values = _as_file_takes(np.asarray(inputs[name]), details)
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return interpreter.invoke


def _as_file_takes(values, details):
    """Returns numbers in the type of a file's input; of int8, quantized."""
    scale, zero = details["quantization"]
    if scale:
        limits = np.iinfo(details["dtype"])
        values = np.clip(np.round(values / scale + zero), limits.min, limits.max)
    return values.astype(details["dtype"])


def _in_batches(names, known, batch_size):
    """Returns examples as a list of dicts: input name -> array of one batch."""
    enough = [x.numpy() for x in resize(known, _NUM_BATCHES * batch_size)]
    parts = [np.split(values, _NUM_BATCHES) for values in enough]
    return [dict(zip(names, batch, strict=True)) for batch in zip(*parts, strict=True)]


def _cannot_run(model, error):
    return ValueError(
        "Argument `model` should be a model that can be run. Received: model named "
        f"{model.name!r}, of which the runtime says: {describe(error)}"
    )
