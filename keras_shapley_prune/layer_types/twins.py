"""Twins: operations that share everything with another one but who calls them."""

import contextlib


def make_twin(operation, kind=None, name=None):
    """Returns an operation that shares all with another one but its lists of calls.

    Its weights and states too. If it is called on symbolic tensors, the other one does
    not know, and so does not hold on to the graph.

    Args:
        operation: The layer or raw operation.
        kind: Optional class of the twin, one that the operation's is derived from.
        name: Optional string, another name.
    """
    # `copy.copy` would save and load a layer, with weights of its own.
    twin = object.__new__(kind or type(operation))
    twin.__dict__.update(vars(operation))
    twin.__dict__.update(_inbound_nodes=[], _outbound_nodes=[])
    if name is not None:
        twin.__dict__.update(name=name)
    return twin


@contextlib.contextmanager
def kept_calls(layer):
    """Lets a layer, and all that is in it, forget who has called them meanwhile.

    Code that is run on symbolic tensors calls the layers themselves.

    Args:
        layer: A `keras.Layer` or `keras.Model`.
    """
    inside = layer._flatten_layers()
    operations = [*inside, *(o for x in inside for o in getattr(x, "operations", ()))]
    lists = [
        calls for o in operations for calls in (o._inbound_nodes, o._outbound_nodes)
    ]
    before = [(calls, len(calls)) for calls in lists]
    try:
        yield
    finally:
        for calls, length in before:
            del calls[length:]


class Twins:
    """The twins of operations, one of each."""

    def __init__(self):
        self._known = {}

    def of(self, operation):
        """Returns the twin of an operation, and a twin of these as it is."""
        if not getattr(operation, "built", True):  # what it builds would not be shared
            return operation
        if operation not in self._known:
            twin = make_twin(operation)
            self._known |= {operation: twin, twin: twin}
        return self._known[operation]
