"""Sizes that a model leaves open, known once its inputs have a shape."""

import dataclasses

import keras

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.data import CalibrationData


def give_sizes(graph, input_shape):
    """Returns a recorded graph that knows of what shape its inputs are.

    Args:
        graph: A `Graph`.
        input_shape: Tuple of integers, the shape of one example, without the batch. For
            a model of several inputs a list of them, or a dict: name of an input ->
            shape. `None` leaves it as it is.

    Raises:
        ValueError: If it does not fit the inputs.
    """
    if input_shape is None:
        return graph
    shapes = _in_order(graph, input_shape)
    fits = len(shapes) == len(graph.inputs) and all(
        _fits(shape, tensor.shape[1:])
        for shape, tensor in zip(shapes, graph.inputs, strict=True)
    )
    if not fits:
        raise ValueError(
            "Argument `input_shape` should be the shape of one example, without the "
            "batch, such as (224, 224, 3); of a model of several inputs, a list or a "
            f"dict of shapes. The inputs are {describe_inputs(graph)}. Received: "
            f"input_shape={show(input_shape)}"
        )
    return dataclasses.replace(graph, input_shapes=shapes)


def sizes_of(batch):
    """Returns the shapes of the examples of a batch, a tuple for each input.

    Args:
        batch: List of tensors or arrays.
    """
    return tuple(tuple(values.shape[1:]) for values in batch)


def read_sizes(graph, dataset):
    """Returns the shapes of a dataset's first examples where a graph leaves any open.

    Args:
        graph: A `Graph`.
        dataset: What `prune` takes, or `None`.

    Returns:
        What `give_sizes` takes, `None` if there is nothing to say.
    """
    if dataset is None or not find_open_inputs(graph):
        return None
    batches = CalibrationData(dataset, graph.input_structure, needs_labels=False)
    inputs, _, _ = next(iter(batches))
    return sizes_of(inputs)


def find_open_inputs(graph):
    """Returns a dict: name of an input of no fixed size -> its shape, as far as known.

    Args:
        graph: A `Graph`.
    """
    given = graph.input_shapes or [tensor.shape[1:] for tensor in graph.inputs]
    return {
        tensor.name: tuple(shape)
        for tensor, shape in zip(graph.inputs, given, strict=True)
        if None in tensor.shape[1:]
    }


def describe_inputs(graph):
    """Returns the names and shapes of a graph's inputs as a string."""
    shapes = [f"{x.name!r} of shape {tuple(x.shape[1:])}" for x in graph.inputs]
    return ", ".join(shapes)


def infer_sizes(graph):
    """Returns a graph of the same calls, on symbolic tensors of the given sizes.

    Args:
        graph: A `Graph`. Without `input_shapes`, or without open sizes, it is returned
            itself. What cannot be inferred remains open.
    """
    if not graph.input_shapes or not find_open_inputs(graph):
        return graph
    values = {
        tensor: keras.KerasTensor((tensor.shape[0], *shape), tensor.dtype)
        for tensor, shape in zip(graph.inputs, graph.input_shapes, strict=True)
    }
    calls = []
    for call in graph.calls:
        inputs = call.read(values)
        args, kwargs = call.fill_in(inputs)
        outputs = _infer(call, args, kwargs)
        values.update(zip(call.outputs, outputs, strict=True))
        sized = {"args": args, "kwargs": kwargs, "inputs": tuple(inputs)}
        calls.append(dataclasses.replace(call, outputs=tuple(outputs), **sized))
    return dataclasses.replace(
        graph,
        inputs=tuple(values[tensor] for tensor in graph.inputs),
        outputs=tuple(values[tensor] for tensor in graph.outputs),
        calls=tuple(calls),
        input_shapes=(),
    )


def _infer(call, args, kwargs):
    """Returns the symbolic outputs of a call, of the sizes of what it reads."""
    try:
        found = keras.tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
    except Exception:  # whatever a layer of the user's raises
        return list(call.outputs)
    return found if len(found) == len(call.outputs) else list(call.outputs)


def _in_order(graph, shapes):
    """Returns a tuple of shapes in the order of the inputs; empty if they are none."""
    if isinstance(shapes, dict):
        names = [tensor.name for tensor in graph.inputs]
        if set(names) != set(shapes) and isinstance(graph.input_structure, dict):
            names = sorted(graph.input_structure)  # the model's own keys, as in flatten
        return tuple(shapes.get(name) for name in names)
    if not isinstance(shapes, (list, tuple)):
        return ()
    if all(isinstance(size, (int, type(None))) for size in shapes):
        return (tuple(shapes),)
    return tuple(shapes)


def _fits(shape, expected):
    """Returns whether a shape has no open size, and those that are expected."""
    if not isinstance(shape, (list, tuple)) or len(shape) != len(expected):
        return False
    sizes = zip(shape, expected, strict=True)
    return all(_is_size(a) and b in (None, a) for a, b in sizes)


def _is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
