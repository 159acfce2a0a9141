"""What goes with a block: the calls of its layers, and an input of an addition."""

import dataclasses

import keras

from keras_shapley_prune.layer_types.stock.identity import make_identity
from keras_shapley_prune.trace.graph import is_symbolic


class Gone:
    """What is not there any more once blocks have been removed.

    Args:
        channel_map: The `ChannelMap` of the model.
        keep: Boolean array, shape `(num_units,)`.

    Attributes:
        returned: Dict: node of a call that has gone, see `Call` -> list of the symbolic
            tensors that it returned.
        inputs: Dict: node of an addition -> which of its inputs are removed.
        ends: Set of the nodes of those additions that a model returns.
    """

    def __init__(self, channel_map, keep):
        graph, removed = channel_map.graph, channel_map.removed_inputs(keep)
        self.returned, self.inputs, self.ends = {}, {}, set()
        if not removed:
            return
        needed = _find_needed(graph, channel_map.absent_calls(keep), removed)
        for node, several in graph.returned.items():
            if all(needed.isdisjoint(tensors) for tensors in several):
                self.returned[node] = list(several[0])
        returned = {tensor for nested in graph.nested for tensor in nested.outputs}
        returned.update(graph.outputs)
        for index, positions in removed.items():
            call = graph.calls[index]
            self.inputs[call.node] = positions
            if call.outputs[0] in returned:
                self.ends.add(call.node)


def _find_needed(graph, absent, removed):
    """Returns the set of the tensors that are still read, or returned."""
    needed = set(graph.outputs)
    for call in graph.calls:
        if call.index not in absent:
            gone = removed.get(call.index, ())
            needed.update(x for at, x in enumerate(call.inputs) if at not in gone)
    size = 0
    while len(needed) != size:  # what enters a nested model may come out of another
        size = len(needed)
        for nested in graph.nested:
            if not needed.isdisjoint(nested.outputs):
                needed.update(nested.inputs, nested.outputs)
    return needed


def add_remaining(addition, args, kwargs, removed, keep_name=False):
    """Returns the sum of what an addition still reads.

    Args:
        addition: The layer or raw operation.
        args: Tuple, what it was called with.
        kwargs: Dict, the same by name.
        removed: Collection of integers, which of the tensors among these are not there.
        keep_name: Boolean, whether a layer with the name of the addition returns it: a
            model's outputs are known by that name.
    """
    remaining = _remaining(args, kwargs, removed)
    if len(remaining) > 1:
        return addition(remaining)
    if not keep_name:
        return remaining[0]
    dtype = getattr(addition, "dtype_policy", None)
    return make_identity(addition.name, dtype)(remaining[0])


def _remaining(args, kwargs, removed):
    given = [x for x in keras.tree.flatten((args, kwargs)) if is_symbolic(x)]
    return [x for at, x in enumerate(given) if at not in removed]


def without_inputs(call, addition, removed):
    """Returns the call of an addition that does not read all of its inputs any more.

    Args:
        call: The `Call`.
        addition: What adds in its place.
        removed: Collection of integers, input positions.
    """
    remaining = [x for at, x in enumerate(call.inputs) if at not in removed]
    args = (remaining,)
    if len(remaining) == 1:
        addition, args = make_identity(), (remaining[0],)
    return dataclasses.replace(
        call, operation=addition, args=args, kwargs={}, inputs=tuple(remaining)
    )


def without_anything(call):
    """Returns a call that stands at the place of one that has gone.

    It reads nothing, and returns a number for each of the tensors, of which none is
    read by what is there.

    Args:
        call: The `Call`.
    """
    nothing = _Nothing(len(call.outputs))
    return dataclasses.replace(call, operation=nothing, args=(), kwargs={}, inputs=())


class _Nothing(keras.Operation):
    """Returns some zeros.

    Args:
        count: Integer, how many.
    """

    def __init__(self, count):
        super().__init__()
        self._count = count

    def call(self):
        return [keras.ops.zeros(()) for _ in range(self._count)]

    def compute_output_spec(self):
        return [keras.KerasTensor((), "float32") for _ in range(self._count)]
