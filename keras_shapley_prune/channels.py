"""Units: integers that travel with the tensors and say what can be removed."""

import numpy as np

from keras_shapley_prune import stock_layers  # noqa: F401 (fills the registry)
from keras_shapley_prune.activations import find_mixing_activation
from keras_shapley_prune.channel_map import FIXED, INSIDE, ChannelGroup, ChannelMap
from keras_shapley_prune.graph import record_graph
from keras_shapley_prune.layer_specs import find_obstacle, find_spec


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
    `consume`, `observe`, `produce`, `name`, `tie`, `lock` and `lock_all`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._parents = []  # union-find over units
        self._locks = {}
        self._ids = {tensor: _fixed(tensor) for tensor in graph.inputs}
        self._produced = {}  # (operation, letter) -> units
        self._parts = {}  # (operation, letter) -> what they are, if not its outputs
        self._named = {}
        self._layer_ids = {}
        self._sites = {}
        self._passing = set()
        self._obstacles = {}

    def trace(self, call):
        """Computes the unit ids of what `call` returns."""
        obstacle = self._obstacles.get(call.operation) or find_obstacle(call)
        if obstacle is not None:
            reason = f"{obstacle} (`{call.operation.name}`)"
            self.lock_all(call, reason)
            # It may be shared with a call that could be pruned by itself.
            self._obstacles[call.operation] = obstacle
            for ids in self._layer_ids.get(call.operation, {}).values():
                self.lock(ids, reason)
            return
        spec = find_spec(call.operation)
        ids_in = self.ids(call.inputs[0])
        known = self._layer_ids.get(call.operation)
        if known is not None and (spec.weights or spec.size):
            shared = f"shared layer `{call.operation.name}` joins it with channels"
            self.tie(known["i"], ids_in, shared)
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
            ids |= self._named.get(call.operation, {})
            self._layer_ids[call.operation] = ids | spec.letters(call, ids)

    def ids(self, tensor):
        """Returns the unit ids at the last axis of a symbolic tensor."""
        return self._ids[tensor]

    def letters(self, operation):
        """Returns the unit ids of the axes of an operation's weights, a dict.

        `None` if it has not been traced yet.
        """
        return self._layer_ids.get(operation)

    def consume(self, call, position):
        """Marks that `call` mixes the channels of its input at `position`."""
        ids = self.ids(call.inputs[position])
        if (ids != FIXED).any():
            self._sites[call.index, position] = ids

    def observe(self, call, position):
        """Marks that what `call` does to each channel depends on which there are.

        The channels go on, so they have other readers too.
        """
        self.consume(call, position)
        self._passing.add((call.index, position))

    def enclose(self, call, ids, passing=False):
        """Marks that `call` reads units within, see `INSIDE`.

        Args:
            call: A `Call`.
            ids: Integer array, the units.
            passing: Boolean, whether they go on to other readers.
        """
        self._sites[call.index, INSIDE] = ids
        if passing:
            self._passing.add((call.index, INSIDE))

    def produce(self, call, letter="o", size=None, part=None):
        """Returns new units of a call; a shared layer's again.

        Args:
            call: A `Call`.
            letter: String, the letter of the units in the layer's weight axes.
            size: Integer, how many. Defaults to the channels of its output.
            part: String, what the units are if not the layer's outputs.
        """
        key = call.operation, letter
        if key not in self._produced:
            start, size = len(self._parents), size or call.outputs[0].shape[-1]
            self._parents.extend(range(start, start + size))
            self._produced[key] = np.arange(start, start + size)
            self._parts[key] = part
        if letter != "o":
            self.name(call, letter, self._produced[key])
        return self._produced[key]

    def name(self, call, letter, ids):
        """Tells which units are meant by a letter of a layer's weight axes."""
        named = self._named.setdefault(call.operation, {})
        if letter in named:
            shared = f"shared layer `{call.operation.name}` joins it with channels"
            self.tie(named[letter], ids, shared)
        named.setdefault(letter, ids)

    def tie(self, ids, others, reason):
        """Makes units at the same positions stand or fall together.

        A unit tied to a channel that is none is locked, for `reason`.
        """
        if len(ids) != len(others):
            self.lock([*ids, *others], f"{reason} of another number")
            return
        for a, b in zip(ids, others, strict=True):
            if a == FIXED or b == FIXED:
                self.lock([a, b], f"{reason} that cannot be removed")
            else:
                a, b = sorted((self._find(a), self._find(b)))
                self._parents[b] = a

    def lock(self, ids, reason):
        """Forbids to remove units; the first reason given is the one shown."""
        for unit in ids:
            if unit != FIXED:
                self._locks.setdefault(int(unit), reason)

    def lock_all(self, call, reason):
        """Locks whatever a call reads and returns ids of no unit for each output."""
        for tensor in call.inputs:
            self.lock(self.ids(tensor), reason)
        for tensor in call.outputs:
            self._ids[tensor] = _fixed(tensor)
        return [self._ids[tensor] for tensor in call.outputs]

    def _find(self, unit):
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit

    def finish(self):
        """Returns the `ChannelMap`, its units numbered without gaps."""
        for tensor in self._graph.outputs:
            for unit in self.ids(tensor)[self.ids(tensor) != FIXED]:
                self._locks[int(unit)] = "model output"  # whatever else locks it
        roots = np.array([self._find(u) for u in range(len(self._parents))], int)
        numbers, compact = np.unique(roots, return_inverse=True)
        numbering = np.append(compact, FIXED)

        def renumber(ids):
            return numbering[ids]

        sites = {site: renumber(ids) for site, ids in self._sites.items()}
        produced = {key: renumber(ids) for key, ids in self._produced.items()}
        carried = {tensor: renumber(ids) for tensor, ids in self._ids.items()}
        locks = {}
        for unit, reason in self._locks.items():
            locks.setdefault(int(renumber(unit)), reason)
        return ChannelMap(
            graph=self._graph,
            num_units=len(numbers),
            groups=_group_units(
                self._graph,
                len(numbers),
                produced,
                self._parts,
                sites,
                locks,
                carried,
            ),
            locks=locks,
            ids=carried,
            layer_ids={
                operation: {letter: renumber(ids) for letter, ids in letters.items()}
                for operation, letters in self._layer_ids.items()
            },
            sites=sites,
            passing=frozenset(self._passing.intersection(sites)),
            produced=dict(self._parts),
            obstacles=self._obstacles,
        )


def _fixed(tensor):
    """Ids of no unit, one for each channel (none where their number is unknown)."""
    return np.full((tensor.shape[-1] or 0) if tensor.shape else 0, FIXED)


def _compare_carriers(carried, num_units):
    """Returns a number for each unit, the same for those that are in the same tensors.

    Args:
        carried: Collection of integer arrays, the unit ids of each tensor.
        num_units: Integer.
    """
    inside = np.zeros((len(carried), num_units + 1), bool)  # the last is for FIXED
    for row, ids in zip(inside, carried, strict=True):
        row[ids] = True
    _, numbers = np.unique(np.packbits(inside, 0).T, axis=0, return_inverse=True)
    return numbers.ravel().tolist()


def _group_units(graph, num_units, produced, parts, sites, locks, carried):
    """Gathers the units that have the same producers into groups.

    Units that are carried by different tensors, such as the parts of a split, are in
    different groups: of each group one stays, so of each tensor a channel stays.
    """
    carriers = _compare_carriers(carried.values(), num_units)
    producers, consumers = {}, {}
    for (operation, letter), ids in produced.items():
        part = parts[operation, letter]
        for unit in np.unique(ids):
            producers.setdefault(unit, []).append((operation.name, part))
    for (index, _), ids in sites.items():
        for unit in np.unique(ids[ids != FIXED]):
            consumers.setdefault(unit, []).append(graph.calls[index].operation.name)
    members = {}
    for unit, names in sorted(producers.items()):
        if unit not in locks:
            members.setdefault((tuple(names), carriers[unit]), []).append(unit)
    groups, taken = [], set()
    for (labels, _), units in members.items():
        first = "/".join(word for word in labels[0] if word)
        name, suffix = first, 2
        while name in taken:
            name, suffix = f"{first}#{suffix}", suffix + 1
        taken.add(name)
        names = tuple(dict.fromkeys(layer for layer, _ in labels))
        readers = dict.fromkeys(n for u in units for n in consumers.get(u, ()))
        groups.append(ChannelGroup(name, np.array(units), names, tuple(readers)))
    return tuple(groups)
