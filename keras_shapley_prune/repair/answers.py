"""What a network answers to the first examples, and whether that is any good.

A network that gets images of another scale than it was trained on answers at random, or
always the same. Then ranking and repair are for nothing, and it is better told before.
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import (
    compile_arguments,
    compile_with,
    copy_compile_config,
)
from keras_shapley_prune.repair.agreement import find_classes
from keras_shapley_prune.repair.sample import FEWEST
from keras_shapley_prune.trace.batches import rebatch
from keras_shapley_prune.trace.recording import record_graph

# Where most examples are of one class, right answers and guesses are much alike.
_MOST_BY_CHANCE = 0.6
# A share of examples of one class that no data of so many classes should have.
_ONE_CLASS, _OF_MANY = 0.9, 10


def check_answers(model, graph, sample, stacklevel=4):
    """Warns if a network is no better than guessing; and measures it.

    Measured (docs/steps.md): networks that are right on 53 to 100 % of 64 images are
    right on as many as guesses would be if these are divided by 255 once too often, and
    nearly all name one class for nine of ten of them.

    Args:
        model: The original `keras.Model`.
        graph: Its recorded `Graph`.
        sample: The `Sample` of the calibration data.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls this.

    Returns:
        Dict: name of a metric -> float, see `measure_answers`.
    """
    num_classes = _count_classes(model, graph)
    if not sample.inputs or not (num_classes or sample.labels):
        return {}
    outputs = _run(graph, sample)
    if outputs is None:
        return {}
    if num_classes and sample.num_examples >= FEWEST:
        reason = _find_reason(outputs, _read_classes(sample, num_classes), num_classes)
        if reason:
            warnings.warn(
                "Expected calibration data like the data that the network was trained "
                f"on. Received: data of which {reason}. Check that the "
                f"examples ({sample.describe_range()}) have the scale and the "
                "preprocessing that the network was trained with, and that labels "
                "count its classes: it is pruned for what it reads here",
                stacklevel=stacklevel,
            )
    return _measure(model, outputs, sample, num_classes)


def measure_answers(model, pruned, sample):
    """Returns how right a pruned network is on a sample.

    Args:
        model: The original `keras.Model`.
        pruned: The pruned `keras.Model`.
        sample: The `Sample` of the calibration data.

    Returns:
        Dict: name -> float: the metrics that `model` is compiled with; else `accuracy`,
        if labels and outputs are of classes. Empty without labels.
    """
    graph = record_graph(pruned)
    outputs = _run(graph, sample) if sample.labels else None
    if outputs is None:
        return {}
    return _measure(model, outputs, sample, _count_classes(model, graph))


def _count_classes(model, graph):
    """Returns of how many classes the only output names one, `None` if of none."""
    classes = find_classes(model, graph)
    return classes.get(0) if len(graph.outputs) == 1 else None


def _run(graph, sample):
    """Returns the outputs for all examples, `None` if they differ in size."""
    batches = [
        graph.run(list(map(tf.convert_to_tensor, inputs)))
        for inputs in rebatch(sample.inputs, graph)
    ]
    shapes = {
        tuple(tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(outputs))
        for outputs in batches
    }
    return _join(batches) if len(shapes) == 1 else None


def _join(batches):
    return keras.tree.map_structure(lambda *parts: _concatenate(parts), *batches)


def _concatenate(parts):
    """Returns tensors as one, with the mask that Keras's metrics go by."""
    joined = tf.concat(parts, axis=0)
    masks = [getattr(part, "_keras_mask", None) for part in parts]
    if all(mask is not None for mask in masks):
        joined._keras_mask = tf.concat(masks, axis=0)
    return joined


def _read_classes(sample, num_classes):
    """Returns the number of each example's class, `None` if labels are no such ones."""
    if not sample.labels or any(len(keras.tree.flatten(y)) != 1 for y in sample.labels):
        return None
    parts = [np.asarray(*keras.tree.flatten(y)) for y in sample.labels]
    if len({part.shape[1:] for part in parts}) > 1 or parts[0].dtype.kind not in "biuf":
        return None
    labels = np.concatenate(parts)
    if labels.shape[1:] == (num_classes,):  # one number for each class
        return labels.argmax(axis=-1)
    return labels.reshape(-1) if labels.shape[1:] in ((), (1,)) else None


def _find_reason(outputs, labels, num_classes):
    """Returns why answers look like guesses, `None` if they do not."""
    named = np.asarray(*keras.tree.flatten(outputs)).argmax(axis=-1)
    count = len(named)
    shares = np.bincount(named, minlength=num_classes) / count
    if labels is not None:
        right = int(np.sum(named == labels))
        # What the same answers would get by chance, of these labels.
        chance = sum(np.mean(labels == c) * shares[c] for c in range(num_classes))
        least = max(chance, 1 / num_classes)
        spread = np.sqrt(least * (1 - least) * count)
        if chance < _MOST_BY_CHANCE and right <= least * count + spread + 1:
            return (
                f"it names the classes of {right} of {count} examples, not more than "
                f"guesses would ({chance * count:.1f})"
            )
        return None
    if num_classes >= _OF_MANY and shares.max() >= _ONE_CLASS:
        return (
            f"it names the same class, {shares.argmax()} of {num_classes}, for "
            f"{round(shares.max() * count)} of {count} examples"
        )
    return None


def _measure(model, outputs, sample, num_classes):
    if not sample.labels:
        return {}
    found = _measure_compiled(model, outputs, sample)
    if found or not num_classes:
        return found
    labels = _read_classes(sample, num_classes)
    if labels is None:
        return {}
    named = np.asarray(*keras.tree.flatten(outputs)).argmax(axis=-1)
    return {"accuracy": float(np.mean(named == labels))}


def _measure_compiled(model, outputs, sample):
    """Returns what the metrics of a compiled model say of outputs, a dict."""
    # What another step measures stands in its code; devices would share out a variable.
    own = [
        getattr(type(model), name) is not getattr(keras.Model, name)
        for name in ("test_step", "compute_metrics")
    ]
    if not model.compiled or any(own) or tf.distribute.has_strategy():
        return {}
    arguments = compile_arguments(model)
    if not (arguments.get("metrics") or arguments.get("weighted_metrics")):
        return {}
    try:
        # The model's own metrics hold what it has been evaluated on: these are new.
        judge = keras.Model()
        judge.output_names = getattr(model, "output_names", None)
        compile_with(judge, {**copy_compile_config(model), "optimizer": "sgd"})
        weights = _join(sample.weights) if sample.weights else None
        found = judge.compute_metrics(None, _join(sample.labels), outputs, weights)
    # A metric of anyone's may fail on what only `evaluate` makes of labels. One line
    # less is told then: that is worth no error.
    except Exception:
        return {}
    return {
        name: float(value)
        for name, value in found.items()
        if name != "loss" and np.ndim(value) == 0
    }
