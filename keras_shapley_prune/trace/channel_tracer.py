"""Carries unit ids through the calls of a model, one after the other."""

import heapq

import numpy as np

from keras_shapley_prune.layer_types import stock  # noqa: F401 (fills the registry)
from keras_shapley_prune.layer_types.elementwise_activations import find_along_positions
from keras_shapley_prune.layer_types.flows.across import spread
from keras_shapley_prune.layer_types.obstacles import (
    find_mixing_activation,
    find_obstacle,
)
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.unit_ids import fixed, no_units
from keras_shapley_prune.trace.functional_models import with_layers
from keras_shapley_prune.trace.mixed_uses import find_mixed_uses
from keras_shapley_prune.trace.shared_tensors import is_for_all
from keras_shapley_prune.trace.unit_ledger import UnitLedger


class ChannelTracer(UnitLedger):
    """Carries unit ids through the recorded calls of a model.

    The flow functions of `flows/` are written against the methods of `UnitLedger`, and
    `find_heads`.
    """

    def __init__(self, graph):
        super().__init__(graph)
        self._obstacles = find_mixed_uses(graph)
        self._heads = {}  # operation -> axis of the heads, see `find_heads`

    def trace(self, call):
        """Computes the unit ids of what `call` returns."""
        if is_for_all(call, self._once):
            self._once.update(call.outputs)
        # What reads no units locks none, whatever it does: that needs no trial.
        may_try = any(map(self.axes, call.inputs))
        may_try = may_try or len(self._graph.calls_of(call.operation)) > 1
        known = self._obstacles.get(call.operation)
        obstacle = known or find_obstacle(call, may_try)
        if obstacle is not None:
            self._give_up(call, obstacle)
            return
        layer_type = find_layer_type(call.operation)
        ids_in = self.ids(call.inputs[0])
        known = self._layer_ids.get(call.operation)
        has_size = layer_type.weights(call.operation) or layer_type.has_size
        # A second call with the same weights reads the same channels of its input.
        if known is not None and has_size and layer_type.ties_inputs:
            self._tie_shared("layer", call.operation, known["i"], ids_in)
        self._carry(call, layer_type)
        # The axes of the weights are those of the first call: others are tied to it.
        if known is None:
            ids = {"i": ids_in, "o": self._ids[call.outputs[0]]}
            ids |= self._letters_across(call)
            ids |= self._named.get(call.operation, {})
            self._layer_ids[call.operation] = ids | layer_type.letters(call, ids)
        elif layer_type.has_size and not layer_type.weights(call.operation):
            self._tie_axes(call.outputs[0], known, "o", call.operation)
            self._tie_axes(call.inputs[0], known, "i", call.operation)

    def find_heads(self, call, axes):
        """Returns which of some axes of an output holds the heads of an attention.

        It looks ahead: the axis that two tensors of a product both have, and that is
        not summed over.

        Args:
            call: A `Call` that splits an axis of channels.
            axes: List of integers, axes of its output.

        Returns:
            Integer, or `None` if none of them becomes that.
        """
        if call.operation not in self._heads:
            looks = ((a, _LookAhead(self._graph, self._heads)) for a in axes)
            found = (axis for axis, look in looks if look.are_heads(call, axis))
            self._heads[call.operation] = next(found, None)
        found = self._heads[call.operation]
        return found if found in axes else None

    def _give_up(self, call, obstacle):
        """Locks what a call that cannot be pruned reads and returns."""
        reason = f"{obstacle} ({self.quote(call)})"
        self.lock_all(call, reason)
        # It may be shared with a call that could be pruned by itself, before or after
        # this one: what that has produced is locked, what it will is too.
        for operation in with_layers(call.operation):
            self._obstacles.setdefault(operation, obstacle)
            for ids in self._layer_ids.get(operation, {}).values():
                self.lock(ids, reason)

    def _carry(self, call, layer_type):
        """Notes which units each axis of each output has."""
        flown = spread(layer_type.flow(call, self), call)
        # A flow that returns ids of the last axis leaves the others to `flow_across`.
        across = [{}] * len(call.outputs)
        asked = not all(isinstance(ids, dict) for ids in flown)
        if asked and any(map(self.across, call.inputs)):
            across = spread(layer_type.flow_across(call, self), call)
        mixing = find_mixing_activation(call)
        for tensor, ids, others in zip(call.outputs, flown, across, strict=True):
            last = len(tensor.shape) - 1
            axes = dict(ids) if isinstance(ids, dict) else {**others, last: ids}
            ids = np.asarray(axes.pop(last, no_units(tensor)))
            if mixing is not None:
                self.lock(ids, f"{mixing} ({self.quote(call)})")
            self._ids[tensor] = ids
            # What is locked is not followed there, where it would only be in the way:
            # such as positions that a weight has an entry for each.
            self._across[tensor] = {a: x for a, x in axes.items() if self.may_go(x)}
            activation = self._across[tensor] and find_along_positions(call.operation)
            if activation:
                reason = f"activation {activation} ({self.quote(call)}) may mix axes"
                for axis in self._across[tensor].values():
                    self.lock(axis, reason)

    def _letters_across(self, call):
        """Returns a dict: letter, see `letter_of` -> units on other axes of a call."""
        inputs = self._letters_of("i", call.inputs[0])
        return inputs | self._letters_of("o", call.outputs[0])


class _LookAhead(ChannelTracer):
    """Follows one axis of one tensor to the products that it reaches.

    Nothing else has units, and nothing is tied: each position of the axis is a unit,
    and a product notes those on the axes that both of its tensors have.

    Args:
        graph: The recorded `Graph`.
        heads: Dict: operation -> axis, what is known already.
    """

    def __init__(self, graph, heads):
        super().__init__(graph)
        self._heads, self._shared = heads, set()

    def are_heads(self, call, axis):
        """Returns whether an axis of what a call returns holds heads."""
        output = call.outputs[0]
        self._num_units, last = output.shape[axis], len(output.shape) - 1
        ids = np.arange(self._num_units)
        self._ids[output] = ids if axis == last else no_units(output)
        self._across[output] = {} if axis == last else {axis: ids}
        # Only what reads them, in running order: the rest of a large network need not
        # be looked at for each of its heads.
        readers, pending, done = self._graph.consumers(), [], {call.index}
        self._queue(readers, output, pending)
        while pending:
            index = heapq.heappop(pending)
            if index in done:
                continue
            done.add(index)
            later = self._graph.calls[index]
            self.trace(later)
            for tensor in later.outputs:
                self._queue(readers, tensor, pending)
        return self._shared.issuperset(ids) and self._locks.keys().isdisjoint(ids)

    def _queue(self, readers, tensor, pending):
        """Notes the calls that read a tensor, if it has units."""
        if self.axes(tensor):
            for call in readers.get(tensor, ()):
                heapq.heappush(pending, call.index)

    def ids(self, tensor):
        return self._ids.get(tensor, no_units(tensor))

    def produce(self, call, letter="o", size=None, part=None):
        ids = fixed(call.outputs[0].shape[-1] if size is None else size)
        if letter != "o":  # layer types look for their letters
            self.name(call, letter, ids)
        return ids

    def tie(self, ids, others, reason):
        pass

    def note_heads(self, ids):
        self._shared.update(ids.tolist())
