"""Operations that are called in two ways, whose weights would be cut in two."""

from keras_shapley_prune.layer_types.stepwise.layer import innermost


def find_mixed_uses(graph):
    """Returns a dict: operation that is called in two ways -> why it is locked.

    The weights of such an operation are those of two in the graph: what is called at
    every time step, and what is called by itself.

    Args:
        graph: A `Graph`.
    """
    ways = {}
    for call in graph.calls:
        ways.setdefault(innermost(call.operation), {})[call.operation] = None
    return {
        operation: f"{type(layer).__name__} is called at every time step, and elsewhere"
        for layer, operations in ways.items()
        if len(operations) > 1
        for operation in operations
    }
