"""The pieces of a network that are timed one by one."""

import dataclasses
import json

import keras

from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.trace.graph import is_symbolic, run_calls
from keras_shapley_prune.trace.unique_names import UniqueNames, part_namesakes


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A call with a kernel, and what follows it up to the next one.

    Runtimes fuse a convolution with the normalization, the addition and the activation
    behind it, so that these have no time of their own.

    Attributes:
        name: String, that of the first call; no other piece has it.
        calls: Tuple of `Call`, in running order.
        inputs: Tuple of the symbolic tensors that it reads from other pieces.
        outputs: Tuple of the symbolic tensors that others read, or the model returns.
    """

    name: str
    calls: tuple
    inputs: tuple
    outputs: tuple

    @property
    def key(self):
        """String, the same for pieces that do the same on arrays of the same shapes."""
        return json.dumps([_describe(call) for call in self.calls], sort_keys=True)

    def build(self):
        """Returns the piece as a `keras.Model` of its own, of the same layers.

        Its layers are called once more for that: not for pieces of a user's model.
        """
        values = {
            tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
            for tensor in self.inputs
        }
        inputs = list(values.values())
        run_calls(part_namesakes(self.calls), values)
        return keras.Model(inputs, [values[tensor] for tensor in self.outputs])


def find_pieces(graph):
    """Takes the calls of a model apart.

    Args:
        graph: A recorded `Graph`.

    Returns:
        Tuple of `Piece`. Each call is in one of them, and each piece reads from the
        input, or from pieces before it.
    """
    parts, owners = [], {}
    for call in graph.calls:
        # What reads several pieces is done once the last of them is.
        number = max((owners.get(tensor, -1) for tensor in call.inputs), default=-1)
        if number < 0 or _has_kernel(call):
            number = len(parts)
            parts.append([])
        parts[number].append(call)
        owners.update(dict.fromkeys(call.outputs, number))
    names = UniqueNames()
    return tuple(_make(graph, calls, names.take(calls[0].name)) for calls in parts)


def _make(graph, calls, name):
    made = {tensor for call in calls for tensor in call.outputs}
    read = (tensor for call in calls for tensor in call.inputs)
    inputs = tuple(dict.fromkeys(tensor for tensor in read if tensor not in made))
    indices, readers = {call.index for call in calls}, graph.consumers()
    outputs = tuple(
        tensor
        for call in calls
        for tensor in call.outputs
        if tensor in graph.outputs
        or any(reader.index not in indices for reader in readers.get(tensor, ()))
    )
    # What nothing reads is computed for nothing, but a model returns something.
    return Piece(name, tuple(calls), inputs, outputs or calls[-1].outputs)


def _has_kernel(call):
    operation = call.operation
    if isinstance(operation, keras.Model):  # one that is not taken apart
        return True
    return bool(find_nearest_type(operation).products(call))


def _describe(call):
    """Returns what a call does, without the names of layers, as JSON can hold it."""
    operation = call.operation
    try:
        config = dict(operation.get_config())
        config.pop("name", None)
        # What JSON cannot hold is told apart by its text.
        config = json.loads(json.dumps(config, default=str))
    except Exception:  # whatever a layer of the user's raises: it is like no other
        config = id(operation)
    constants = keras.tree.map_structure(
        lambda leaf: None if is_symbolic(leaf) else str(leaf), (call.args, call.kwargs)
    )
    tensors = [[list(t.shape), str(t.dtype)] for t in (*call.inputs, *call.outputs)]
    return [type(operation).__name__, config, str(constants), tensors]
