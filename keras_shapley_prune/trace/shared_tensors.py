"""Tensors that are one for all examples, as a weight is."""

from keras_shapley_prune.layer_types.registry import find_layer_type


def find_for_all(graph):
    """Returns the tensors of a graph that are one for all examples.

    Args:
        graph: A `Graph`.

    Returns:
        Frozenset of symbolic tensors.
    """
    found = set()
    for call in graph.calls:
        if is_for_all(call, found):
            found.update(call.outputs)
    return frozenset(found)


def is_for_all(call, known):
    """Returns whether what a call returns is one for all examples.

    Args:
        call: A `Call`.
        known: Set of the tensors of which that is known.
    """
    layer_type = find_layer_type(call.operation)
    read = [tensor in known for tensor in call.inputs]
    # Of an operation that is not known: it computes something of what it reads.
    return all(read) if layer_type is None else layer_type.is_for_all(call, read)
