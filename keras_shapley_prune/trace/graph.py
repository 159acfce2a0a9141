"""The calls of a functional model, recorded once and run anywhere."""

import dataclasses
import functools

import keras

from keras_shapley_prune.layer_types.masked_calls import no_masks, run_masked
from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.trace.sizes import infer_sizes


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation (a layer or a raw `keras.ops` operation).

    Attributes:
        index: Integer, the position of the call in `Graph.calls`.
        operation: The `keras.Operation` of the original model.
        args: Tuple, its positional arguments, symbolic tensors among them.
        kwargs: Dict, its keyword arguments.
        inputs: Tuple of the symbolic tensors found in `args` and `kwargs`.
        outputs: Tuple of the symbolic tensors it returned.
        name: String, the operation's name; in a nested model with the names of the
            models around it, as in `"backbone/conv1"`.
        node: Tuple that says which call of which model it is: the nested model, `None`
            for the outermost, and the place among the calls of that, nested models
            counted as one. All calls of a nested model have the same nodes.
    """

    index: int
    operation: keras.Operation
    args: tuple
    kwargs: dict
    inputs: tuple
    outputs: tuple
    name: str
    node: tuple = ()

    def read(self, values):
        """Returns the list of what the call reads.

        Args:
            values: Dict: symbolic tensor -> value.
        """
        return [values[tensor] for tensor in self.inputs]

    def fill_in(self, values):
        """Returns `(args, kwargs)` with `values` in the place of `inputs`."""
        return fill_in((self.args, self.kwargs), values)


@dataclasses.dataclass(frozen=True, eq=False)
class NestedCall:
    """One call of a model within a model.

    Attributes:
        model: The nested `keras.Model`.
        inputs: Tuple of the symbolic tensors that enter it.
        outputs: Tuple of the symbolic tensors that it returns.
    """

    model: keras.Model
    inputs: tuple
    outputs: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The calls of a model in an order in which they can be run.

    The calls within nested models stand among the others.

    Attributes:
        inputs: Tuple of symbolic tensors.
        outputs: Tuple of symbolic tensors.
        calls: Tuple of `Call`.
        input_structure: The (nested) symbolic inputs as the model takes them.
        output_structure: The (nested) symbolic outputs as the model returns them.
        nested: Tuple of `NestedCall`, those of outer models before those of inner.
        unrepeatable: Frozenset of integers, the indices of calls that return something
            else in every run, where the network has been run to find them.
        input_shapes: Tuple of the shapes of the inputs' examples, without batch, as far
            as they have been given: what FLOPs are counted for.
        returned: Dict: node, see `Call`, also that of the call of a nested model or of
            a wrapper -> list of tuples of the tensors that it returned, one for each
            time.
    """

    inputs: tuple
    outputs: tuple
    calls: tuple
    input_structure: object
    output_structure: object
    nested: tuple = ()
    unrepeatable: frozenset = frozenset()
    input_shapes: tuple = ()
    returned: dict = dataclasses.field(default_factory=dict)

    def feed(self, inputs):
        """Returns what `run_calls` starts from, a dict: symbolic input -> value.

        Args:
            inputs: The values, flat or structured as the model takes them.
        """
        return dict(zip(self.inputs, keras.tree.flatten(inputs), strict=True))

    def collect(self, values):
        """Returns the outputs, structured as the model returns them.

        Args:
            values: Dict: symbolic tensor -> value, that of every output in it.
        """
        # `pack_sequence_as` takes them in the order of `flatten`, which is that of
        # `outputs`.
        outputs = [values[tensor] for tensor in self.outputs]
        structured = keras.tree.pack_sequence_as(self.output_structure, outputs)
        # A model of a list of one output returns that output.
        alone = isinstance(structured, (list, tuple)) and len(structured) == 1
        return structured[0] if alone else structured

    def run(self, inputs, find_masks=no_masks):
        """Runs all calls, and returns what the model returns.

        Args:
            inputs: See `feed`.
            find_masks: See `run_calls`.
        """
        values = self.feed(inputs)
        self.run_between(values, 0, len(self.calls), find_masks)
        return self.collect(values)

    def run_between(self, values, start, stop, find_masks=no_masks):
        """Runs some calls, and drops what none of the later ones reads.

        Args:
            values: Dict: symbolic tensor -> value, before the call at `start`. It
                becomes that before the call at `stop`.
            start: Integer, the index of a call.
            stop: Integer, the index of a later call.
            find_masks: See `run_calls`.
        """
        for call in self.calls[start:stop]:
            run_calls([call], values, find_masks)
            for tensor in (*call.inputs, *call.outputs):
                if self.last_uses.get(tensor, -1) <= call.index:
                    values.pop(tensor, None)

    def drop_read(self, values, position):
        """Drops what no call from the one at `position` on reads.

        Args:
            values: Dict: symbolic tensor -> value.
            position: Integer, the index of a call.
        """
        for tensor in list(values):
            if self.last_uses.get(tensor, -1) < position:
                del values[tensor]

    @functools.cached_property
    def producers(self):
        """Dict: tensor -> the call that returns it. Inputs are not in it."""
        return {tensor: call for call in self.calls for tensor in call.outputs}

    @functools.cached_property
    def last_uses(self):
        """Dict: tensor -> index of the last call that reads it.

        Outputs of the model are used for good: their index is the number of calls.
        What nothing reads is not in it.
        """
        # Calls are in running order, so the last one of a tensor is what remains.
        uses = {tensor: call.index for call in self.calls for tensor in call.inputs}
        return uses | dict.fromkeys(self.outputs, len(self.calls))

    @functools.cached_property
    def sized(self):
        """The same `Graph` of symbolic tensors without open sizes, see `give_sizes`.

        Itself where no size is open, or no shape was given.
        """
        return infer_sizes(self)

    def consumers(self):
        """Returns a dict: tensor -> list of the calls that read it."""
        return self._consumers

    def calls_of(self, operation):
        """Returns the list of the calls of an operation, in running order."""
        return self._calls_of.get(operation, [])

    def name_of(self, operation):
        """Returns the name of an operation that no other of the model has.

        The name of its first call, see `Call.name`. A layer that several nested
        models share has the name that it has in the first of them.
        """
        calls = self.calls_of(operation)
        return calls[0].name if calls else operation.name

    @functools.cached_property
    def _consumers(self):
        readers = {}
        for call in self.calls:
            for tensor in call.inputs:
                readers.setdefault(tensor, []).append(call)
        return readers

    @functools.cached_property
    def _calls_of(self):
        calls = {}
        for call in self.calls:
            calls.setdefault(call.operation, []).append(call)
        return calls


def run_calls(calls, values, find_masks=no_masks, stand_ins=None):
    """Runs recorded calls on real or symbolic tensors.

    Args:
        calls: Iterable of `Call`, in running order.
        values: Dict: recorded symbolic tensor -> the value it stands for. It has to
            hold what `calls` read and do not produce. The outputs are added to it.
        find_masks: Callable `fn(call)` that returns a dict: input position, or
            `INSIDE` -> `Mask`.
        stand_ins: Optional dict: call -> callable `fn(call, inputs, masks)` that is
            run in the place of `run_masked` and returns its one output.
    """
    stand_ins = stand_ins or {}
    for call in calls:
        inputs, masks = call.read(values), find_masks(call)
        if call in stand_ins:
            returned = [stand_ins[call](call, inputs, masks)]
        else:
            returned = run_masked(call, inputs, masks)
        values.update(zip(call.outputs, returned, strict=True))


def find_ancestors(graph, tensors, start=0):
    """Returns the calls from `start` on that lead to some tensors, in order.

    Args:
        graph: A `Graph`.
        tensors: Sequence of its symbolic tensors.
        start: Integer, the index of the first call that may be among them.
    """
    found, pending = set(), list(tensors)  # a search from the end to the start
    while pending:
        call = graph.producers.get(pending.pop())
        if call is not None and call.index >= start and call not in found:
            found.add(call)
            pending.extend(call.inputs)
    return tuple(sorted(found, key=lambda call: call.index))


def find_dependents(graph, indices):
    """Returns some calls, and those that read what they return, in order.

    Args:
        graph: A `Graph`.
        indices: Set of integers, the indices of the first ones.
    """
    changed, found = set(), []
    for call in graph.calls:  # in running order: one pass finds all behind them
        if call.index in indices or not changed.isdisjoint(call.inputs):
            changed.update(call.outputs)
            found.append(call)
    return tuple(found)


def find_activation(graph, tensor):
    """Returns the name of the function that returns a tensor, `None` if there is none.

    Args:
        graph: A `Graph`.
        tensor: One of its symbolic tensors.
    """
    call = graph.producers.get(tensor)
    if call is None:  # an input
        return None
    return find_nearest_type(call.operation).output_activation(call.operation)


def fill_in(structure, values):
    """Returns a structure with values, in order, in the place of symbolic tensors."""
    remaining = iter(values)  # `map_structure` visits entries in the order of `flatten`
    return keras.tree.map_structure(
        lambda leaf: next(remaining) if is_symbolic(leaf) else leaf, structure
    )


def is_symbolic(value):
    """Returns whether a value is a symbolic tensor."""
    return isinstance(value, keras.KerasTensor)
