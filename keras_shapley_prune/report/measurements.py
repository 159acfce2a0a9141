"""Measurements of two models that need runs: file size, latency and metrics."""

import os
import platform
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import compile_arguments, copy_compile_config
from keras_shapley_prune.inputs.data import CalibrationData, find_fixed_size
from keras_shapley_prune.inputs.evaluation import evaluate
from keras_shapley_prune.latency.measure_latency import measure_latency
from keras_shapley_prune.latency.processor import find_processor
from keras_shapley_prune.trace.functional_models import functional_view

MEASURES = ("file_size", "activations", "latency", "agreement", "metrics")
BATCH_SIZES = (1, 32)
_MAX_SECONDS = 5.0  # for the runs of one batch size, both models together


def measure_file_size(model):
    """Returns the size of the `.keras` file of a model, without its optimizer.

    A Sequential model is saved as a functional one.

    Args:
        model: A `keras.Model`.

    Returns:
        Integer, bytes, or `None` if Keras cannot save the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        try:
            functional_view(model).save(path)  # not compiled
        except (NotImplementedError, TypeError, ValueError):
            return None
        return os.path.getsize(path)


def measure_latencies(models, graph, data=None, batch_sizes=BATCH_SIZES):
    """Measures how long models take for batches of several sizes, taking turns.

    Args:
        models: List of `keras.Model`.
        graph: The recorded `Graph` of one of them.
        data: What `prune` takes, where the inputs come from, repeated as often as
            needed. `None` for zeros.
        batch_sizes: Sequence of integers. A model of a fixed batch size is measured at
            that size alone.

    Returns:
        Dict: batch size -> list of the median seconds of each model. Empty if there
        is no data and a size of the inputs is not known.
    """
    examples = _some_inputs(graph, data)
    if examples is None:
        return {}
    found, fixed = {}, find_fixed_size(graph.inputs)
    for size in batch_sizes if fixed is None else (fixed,):
        # `np.resize` repeats the examples until there are enough.
        batch = [np.resize(values, (size, *values.shape[1:])) for values in examples]
        inputs = keras.tree.pack_sequence_as(graph.input_structure, batch)
        found[size] = measure_latency(models, inputs, max_seconds=_MAX_SECONDS)
    return found


def measure_metrics(models, data, original, progress=None):
    """Evaluates models as one of them is compiled.

    Args:
        models: List of `keras.Model`. They are not changed.
        data: Labelled data, see `prune`.
        original: The `keras.Model` that says what is measured. If it is not compiled
            with any metric, it is the accuracy, of a model of one output that names
            classes.
        progress: A `Progress`, in whose step this is done, or `None`.

    Returns:
        Dict: name of a metric (and of the loss) -> list of the value of each model.
    """
    if not original.compiled and len(original.outputs) > 1:
        return {}
    found = []
    for number, model in enumerate(models):
        if progress is not None:
            progress.show(f"evaluating the {'pruned' if number else 'original'} model")
        # A view has metrics of its own: those of the model keep their state.
        view = functional_view(model)
        config = copy_compile_config(original) or {}
        if not config.get("metrics") and _has_accuracy(original):
            config = {**config, "metrics": ["accuracy"]}
        # A class with a loss of its own is compiled without any.
        has_loss = config.get("loss") is not None
        view.compile(**config if has_loss else {**config, "loss": _no_loss})
        found.append(evaluate(view, data))
        if not has_loss:
            del found[-1]["loss"]
        if progress is not None:
            progress.add(1 / len(models))
    return {name: [values[name] for values in found] for name in found[0]}


def _has_accuracy(model):
    """Returns whether a model without metrics can be asked for its accuracy."""
    if not model.compiled:
        return True
    loss = compile_arguments(model).get("loss")
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    name = name or getattr(loss, "__name__", "")
    return len(model.outputs) == 1 and "crossentropy" in name


def has_labels(data, graph):
    """Returns whether data can be evaluated on: whether its batches hold labels.

    Args:
        data: What `prune` takes.
        graph: The recorded `Graph` of the model.
    """
    batches = CalibrationData(data, graph.input_structure, needs_labels=False)
    _, labels, _ = next(iter(batches))
    return len(keras.tree.flatten(labels)) > 0


def describe_environment():
    """Returns a dict: what was measured with, and where."""
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "machine": find_processor(),
        "cores": os.cpu_count(),
    }


def _no_loss(labels, outputs):
    # `compile` gets a loss, and what it returns is dropped.
    return keras.ops.zeros_like(outputs[..., 0])


def _some_inputs(graph, data):
    """Returns a list of arrays, some examples of each input, or `None`."""
    if data is not None:
        batches = CalibrationData(data, graph.input_structure, needs_labels=False)
        return [tensor.numpy() for tensor in next(iter(batches))[0]]
    shapes = [tensor.shape[1:] for tensor in graph.inputs]
    if any(None in shape for shape in shapes):
        return None
    dtypes = [tensor.dtype for tensor in graph.inputs]
    return [np.zeros((1, *s), d) for s, d in zip(shapes, dtypes, strict=True)]
