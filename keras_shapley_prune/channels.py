"""Units: integers that travel with the tensors and say what can be removed."""

import itertools

import numpy as np
import scipy.sparse

from keras_shapley_prune import stock_layers  # noqa: F401 (fills the registry)
from keras_shapley_prune.activations import find_mixing_activation
from keras_shapley_prune.channel_map import FIXED, ChannelGroup, ChannelMap
from keras_shapley_prune.layer_specs import find_obstacle, find_spec
from keras_shapley_prune.recording import record_graph


def trace_channels(model):
    """Finds out which channels of a model can be removed, and together with which.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.

    Returns:
        A `ChannelMap`.

    Raises:
        ValueError: If `model` is not built or has no graph of layers.

    Example:

    ```python
    channel_map = keras_shapley_prune.trace_channels(model)
    for group in channel_map.groups:
        print(group.name, group.num_units, group.consumers)
    print(channel_map.lock_reasons())
    ```
    """
    graph = record_graph(model)
    tracer = ChannelTracer(graph)
    for call in graph.calls:
        tracer.trace(call)
    return tracer.finish()


class ChannelTracer:
    """Carries unit ids through the recorded calls of a model.

    The flow functions of `flows.py` are written against its methods `ids`,
    `consume`, `produce`, `tie`, `lock` and `lock_all`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._num_units = 0
        self._ties = [np.zeros((2, 0), int)]  # pairs of units, one a column
        self._locks = {}
        self._ids = {tensor: _fixed(tensor) for tensor in graph.inputs}
        self._produced = {}
        self._layer_ids = {}
        self._sites = {}
        self._obstacles = {}

    def trace(self, call):
        """Computes the unit ids of what `call` returns."""
        obstacle = self._obstacles.get(call.operation) or find_obstacle(call)
        if obstacle is not None:
            reason = f"{obstacle} (`{self._graph.name_of(call.operation)}`)"
            self.lock_all(call, reason)
            # It may be shared with a call that could be pruned by itself.
            for operation in _with_layers(call.operation):
                self._obstacles.setdefault(operation, obstacle)
                for ids in self._layer_ids.get(operation, {}).values():
                    self.lock(ids, reason)
            return
        spec = find_spec(call.operation)
        ids_in = self.ids(call.inputs[0])
        known = self._layer_ids.get(call.operation)
        if known is not None and (spec.weights or spec.size):
            self._tie_shared("layer", call.operation, known["i"], ids_in)
        flown = spec.flow(call, self)
        alike = not isinstance(flown, list)
        ids_out = [flown] * len(call.outputs) if alike else flown
        mixing = find_mixing_activation(call.operation)
        for tensor, ids in zip(call.outputs, ids_out, strict=True):
            if mixing is not None:
                self.lock(ids, f"activation {mixing} may mix channels")
            self._ids[tensor] = np.asarray(ids)
        if known is None:
            ids = {"i": ids_in, "o": self._ids[call.outputs[0]]}
            self._layer_ids[call.operation] = ids | spec.letters(call, ids)

    def ids(self, tensor):
        """Returns the unit ids at the last axis of a symbolic tensor."""
        return self._ids[tensor]

    def consume(self, call, position):
        """Marks that `call` mixes the channels of its input at `position`."""
        ids = self.ids(call.inputs[position])
        if (ids != FIXED).any():
            self._sites[call.index, position] = ids

    def produce(self, call):
        """Returns new units for the channels of a call; a shared layer's again."""
        if call.operation not in self._produced:
            start, size = self._num_units, call.outputs[0].shape[-1]
            self._num_units += size
            self._produced[call.operation] = np.arange(start, start + size)
        return self._produced[call.operation]

    def tie(self, ids, others, reason):
        """Makes units at the same positions stand or fall together.

        A unit tied to a channel that is none is locked, for `reason`.
        """
        if len(ids) != len(others):
            self.lock([*ids, *others], f"{reason} of another number")
            return
        pairs = np.stack([ids, others])
        fixed = (pairs == FIXED).any(axis=0)
        self.lock(pairs[:, fixed].ravel(), f"{reason} that cannot be removed")
        self._ties.append(pairs[:, ~fixed])

    def lock(self, ids, reason):
        """Forbids to remove units; the first reason given is the one shown."""
        for unit in np.unique(ids).astype(int).tolist():
            if unit != FIXED:
                self._locks.setdefault(unit, reason)

    def lock_all(self, call, reason):
        """Locks whatever a call reads and returns ids of no unit for its outputs."""
        for tensor in call.inputs:
            self.lock(self.ids(tensor), reason)
        for tensor in call.outputs:
            self._ids[tensor] = _fixed(tensor)
        return self._ids[call.outputs[0]] if call.outputs else []

    def _tie_shared(self, kind, operation, ids, others):
        """Ties what two calls of a layer or nested model read."""
        name = self._graph.name_of(operation)
        self.tie(ids, others, f"shared {kind} `{name}` joins it with channels")

    def _close_nested_models(self):
        """Lets a nested model have one input and one output of one size.

        In all its calls it reads the same channels, and what nobody reads of what it
        returns stays: no value could be had for that.
        """
        first_calls, readers = {}, self._graph.consumers()
        for call in self._graph.nested:
            first = first_calls.setdefault(call.model, call)
            for ours, theirs in zip(first.inputs, call.inputs, strict=True):
                if first is not call:
                    ids = self.ids(ours), self.ids(theirs)
                    self._tie_shared("model", call.model, *ids)
            for tensor in call.outputs:
                if tensor not in readers:
                    self.lock(self.ids(tensor), f"unused output of `{call.model.name}`")

    def _number_units(self):
        """Returns a number for each unit, without gaps; the same for tied ones."""
        pairs = np.concatenate(self._ties, axis=1)
        shape = self._num_units, self._num_units
        links = scipy.sparse.coo_array((np.ones(pairs.shape[1]), pairs), shape)
        _, parts = scipy.sparse.csgraph.connected_components(links, directed=False)
        _, first, part_of = np.unique(parts, return_index=True, return_inverse=True)
        return np.unique(first[part_of], return_inverse=True)[1]

    def finish(self):
        """Returns the `ChannelMap`, its units numbered without gaps."""
        for tensor in self._graph.outputs:
            for unit in self.ids(tensor)[self.ids(tensor) != FIXED]:
                self._locks[int(unit)] = "model output"  # whatever else locks it
        self._close_nested_models()
        compact = self._number_units()
        numbering = np.append(compact, FIXED)

        def renumber(ids):
            return numbering[ids]

        sites = {site: renumber(ids) for site, ids in self._sites.items()}
        produced = {op: renumber(ids) for op, ids in self._produced.items()}
        locks = {}
        for unit, reason in self._locks.items():
            locks.setdefault(int(renumber(unit)), reason)
        num_units = int(compact.max(initial=FIXED)) + 1
        return ChannelMap(
            graph=self._graph,
            num_units=num_units,
            groups=_group_units(self._graph, num_units, produced, sites, locks),
            locks=locks,
            ids={tensor: renumber(ids) for tensor, ids in self._ids.items()},
            layer_ids={
                operation: {letter: renumber(ids) for letter, ids in letters.items()}
                for operation, letters in self._layer_ids.items()
            },
            sites=sites,
            producers=tuple(self._produced),
            obstacles=self._obstacles,
        )


def _with_layers(operation):
    """Returns an operation and, of a model, the layers in it."""
    inner = [_with_layers(layer) for layer in getattr(operation, "layers", ())]
    return [operation, *itertools.chain.from_iterable(inner)]


def _fixed(tensor):
    """Ids of no unit, one for each channel (none where their number is unknown)."""
    return np.full((tensor.shape[-1] or 0) if tensor.shape else 0, FIXED)


def _group_units(graph, num_units, produced, sites, locks):
    """Gathers the units that have the same producers into groups."""
    producers = [()] * num_units
    for operation, ids in produced.items():
        name = (graph.name_of(operation),)
        for unit in np.unique(ids).tolist():
            producers[unit] += name
    members = {}
    for unit, names in enumerate(producers):
        if unit not in locks:
            members.setdefault(names, []).append(unit)
    group_of = np.full(num_units + 1, -1)  # the last entry is that of FIXED
    for number, units in enumerate(members.values()):
        group_of[units] = number
    readers = [{} for _ in members]
    for (index, _), ids in sites.items():
        name = graph.name_of(graph.calls[index].operation)
        for number in np.unique(group_of[ids]).tolist():
            if number >= 0:
                readers[number][name] = None
    groups, taken = [], set()
    for (names, units), consumers in zip(members.items(), readers, strict=True):
        name, suffix = names[0], 2
        while name in taken:
            name, suffix = f"{names[0]}#{suffix}", suffix + 1
        taken.add(name)
        groups.append(ChannelGroup(name, np.array(units), names, tuple(consumers)))
    return tuple(groups)
