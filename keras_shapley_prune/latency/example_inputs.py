"""One batch to time a model on: of a user's examples, or drawn."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.arguments import blaming
from keras_shapley_prune.inputs.data import CalibrationData, find_fixed_size
from keras_shapley_prune.trace.sizes import describe_inputs, find_open_inputs

_SEED = 0  # so that two models read the same


def read_first(graph, examples):
    """Returns the first batch of examples, a list of tensors, one for each input.

    Args:
        graph: The recorded `Graph` of the model.
        examples: What `prune` takes. Labels are not read.

    Raises:
        ValueError: If it does not fit the model. It names the argument `examples`.
    """
    with blaming("dataset", "examples"):
        data = CalibrationData(examples, graph.input_structure, needs_labels=False)
        return next(iter(data))[0]


def draw(graph, count):
    """Draws examples for a model: numbers between 0 and 1, zeros where it reads others.

    Args:
        graph: The recorded `Graph` of the model.
        count: Integer, how many.

    Returns:
        List of tensors, one for each input.

    Raises:
        ValueError: If the model takes any size, and none is known.
    """
    shapes = graph.input_shapes or [tensor.shape[1:] for tensor in graph.inputs]
    if any(None in shape for shape in shapes):
        raise ValueError(
            "Argument `examples` should hold examples, as the model takes any size. "
            f"Received: examples=None, a model with inputs {describe_inputs(graph)}"
        )
    generator = np.random.default_rng(_SEED)
    return [
        _draw(generator, (count, *shape), tensor.dtype)
        for shape, tensor in zip(shapes, graph.inputs, strict=True)
    ]


def check_sizes(graph):
    """Raises a `ValueError` if a model takes any size, and none is known.

    Args:
        graph: The recorded `Graph` of the model.
    """
    if any(None in shape for shape in find_open_inputs(graph).values()):
        raise ValueError(
            "Argument `input_shape` should be the shape of one example, as the model "
            "takes any size. Received: input_shape=None, a model with inputs "
            f"{describe_inputs(graph)}"
        )


def resize(batch, size):
    """Returns as many examples as asked for: the first ones, repeated if need be.

    Args:
        batch: List of tensors, one for each input.
        size: Integer.
    """
    return [tf.gather(values, np.arange(size) % len(values)) for values in batch]


def check_batch_size(graph, size):
    """Raises a `ValueError` if a model does not take batches of that size."""
    fixed = find_fixed_size(graph.inputs)
    if fixed not in (None, size):
        raise ValueError(
            f"Argument `batch_size` should be {fixed}, the size of the batches that "
            f"the model takes. Received: batch_size={size}"
        )


def _draw(generator, shape, dtype):
    kind = tf.as_dtype(dtype)
    if kind.is_floating:
        return tf.cast(generator.random(shape, "float32"), kind)
    # Any other number than 0 could be none of an embedding's.
    return tf.zeros(shape, kind)
