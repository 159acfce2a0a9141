"""Units: integers that travel with the tensors and say what can be removed."""

import numpy as np

from keras_shapley_prune.layer_types import stock  # noqa: F401 (fills the registry)
from keras_shapley_prune.layer_types.obstacles import (
    find_mixing_activation,
    find_obstacle,
)
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.unit_ids import FIXED, INSIDE, no_units
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.functional_models import with_layers
from keras_shapley_prune.trace.groups import fix_followers, group_units, number_units
from keras_shapley_prune.trace.recording import record_graph


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

    The flow functions of `flows/` are written against its methods `ids`,
    `consume`, `observe`, `produce`, `name`, `tie`, `lock`, `lock_all` and `quote`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._num_units = 0
        self._ties = []  # pairs of units, one a column
        self._locks = {}
        self._ids = {tensor: no_units(tensor) for tensor in graph.inputs}
        self._produced = {}  # (operation, letter) -> units
        self._parts = {}  # (operation, letter) -> what they are, if not its outputs
        self._named = {}
        self._layer_ids = {}
        self._sites = {}
        self._passing = set()
        self._obstacles = {}
        self._once = set()  # tensors that are one for all examples, as a weight is

    def trace(self, call):
        """Computes the unit ids of what `call` returns."""
        # What reads no units locks none, whatever it does: that needs no trial.
        may_try = any((self.ids(tensor) != FIXED).any() for tensor in call.inputs)
        may_try = may_try or len(self._graph.calls_of(call.operation)) > 1
        known = self._obstacles.get(call.operation)
        obstacle = known or find_obstacle(call, may_try)
        if obstacle is not None:
            reason = f"{obstacle} ({self.quote(call)})"
            self.lock_all(call, reason)
            # It may be shared with a call that could be pruned by itself, before or
            # after this one: what that has produced is locked, what it will is too.
            for operation in with_layers(call.operation):
                self._obstacles.setdefault(operation, obstacle)
                for ids in self._layer_ids.get(operation, {}).values():
                    self.lock(ids, reason)
            return
        layer_type = find_layer_type(call.operation)
        if layer_type.follows or self._once.issuperset(call.inputs):
            self._once.update(call.outputs)
        ids_in = self.ids(call.inputs[0])
        known = self._layer_ids.get(call.operation)
        has_size = layer_type.weights(call.operation) or layer_type.has_size
        # A second call with the same weights reads the same channels of its input.
        if known is not None and has_size and layer_type.ties_inputs:
            self._tie_shared("layer", call.operation, known["i"], ids_in)
        flown = layer_type.flow(call, self)
        # An array stands for all outputs, a list has one for each.
        alike = not isinstance(flown, list)
        ids_out = [flown] * len(call.outputs) if alike else flown
        mixing = find_mixing_activation(call)
        for tensor, ids in zip(call.outputs, ids_out, strict=True):
            if mixing is not None:
                self.lock(ids, f"{mixing} ({self.quote(call)})")
            self._ids[tensor] = np.asarray(ids)
        # The axes of the weights are those of the first call: others are tied to it.
        if known is None:
            ids = {"i": ids_in, "o": self._ids[call.outputs[0]]}
            ids |= self._named.get(call.operation, {})
            self._layer_ids[call.operation] = ids | layer_type.letters(call, ids)

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
        if call.inputs[position] in self._once:
            # Which units there are may differ from example to example, see `Mask`.
            self.lock(ids, f"{self.quote(call)} reads it once for all examples")
        # Where only fixed channels are read, nothing can ever be masked.
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
        # All calls of a shared layer produce the same units: its kernel has them once.
        if key not in self._produced:
            start, size = self._num_units, size or call.outputs[0].shape[-1]
            self._num_units += size
            self._produced[key] = np.arange(start, start + size)
            self._parts[key] = part
        if letter != "o":
            self.name(call, letter, self._produced[key])
        return self._produced[key]

    def name(self, call, letter, ids):
        """Notes which units a letter of a layer's weight axes stands for."""
        named = self._named.setdefault(call.operation, {})
        if letter in named:
            self._tie_shared("layer", call.operation, named[letter], ids)
        named.setdefault(letter, ids)

    def quote(self, call):
        """Returns the name of a called layer, with those of the models it is in."""
        return f"`{self._graph.name_of(call.operation)}`"

    def tie(self, ids, others, reason):
        """Lets units at the same positions be removed only together.

        A unit tied to a channel that is none is locked, for `reason`.
        """
        if len(ids) != len(others):
            self.lock([*ids, *others], f"{reason} of another number")
            return
        pairs = np.stack([ids, others])
        # A channel that is no unit, such as one of the image, is always there.
        fixed = (pairs == FIXED).any(axis=0)
        self.lock(pairs[:, fixed].ravel(), f"{reason} that cannot be removed")
        self._ties.append(pairs[:, ~fixed])

    def lock(self, ids, reason):
        """Forbids to remove units; the first reason given is the one shown."""
        for unit in np.unique(ids).astype(int).tolist():
            if unit != FIXED:
                self._locks.setdefault(unit, reason)

    def lock_all(self, call, reason):
        """Locks whatever a call reads and returns ids of no unit for each output."""
        for tensor in call.inputs:
            self.lock(self.ids(tensor), reason)
        for tensor in call.outputs:
            self._ids[tensor] = no_units(tensor)
        return [self._ids[tensor] for tensor in call.outputs]

    def _tie_shared(self, kind, operation, ids, others):
        """Ties what two calls of a layer or nested model read."""
        name = self._graph.name_of(operation)
        self.tie(ids, others, f"shared {kind} `{name}` joins it with channels")

    def _close_nested_models(self):
        """Lets a nested model have one input and one output of one size.

        In all its calls it reads the same channels. Outputs that no layer uses are
        locked: nothing says what their channels are worth.
        """
        # A nested model has the same `Input`s in all of its calls: they can shrink only
        # if all calls read the same units.
        first_calls, readers = {}, self._graph.consumers()
        for call in self._graph.nested:
            first = first_calls.setdefault(call.model, call)
            for ours, theirs in zip(first.inputs, call.inputs, strict=True):
                if first is not call:
                    ids = self.ids(ours), self.ids(theirs)
                    self._tie_shared("model", call.model, *ids)
            for tensor in call.outputs:
                if tensor not in readers:
                    name = self._graph.name_of(call.model)
                    self.lock(self.ids(tensor), f"unused output of `{name}`")

    def finish(self):
        """Returns the `ChannelMap`, its units numbered without gaps.

        All ids so far are of units as they were produced; a tie is a pair of them. Only
        now is it known which are one unit, and everything is renumbered.
        """
        for tensor in self._graph.outputs:
            for unit in self.ids(tensor)[self.ids(tensor) != FIXED]:
                self._locks[int(unit)] = "model output"  # whatever else locks it
        # This may tie and lock units, so it comes before they are numbered.
        self._close_nested_models()
        follows = {key: find_layer_type(key[0]).follows for key in self._parts}
        compact = fix_followers(
            number_units(self._num_units, self._ties),
            [(units, follows[key]) for key, units in self._produced.items()],
        )
        numbering = np.append(compact, FIXED)  # FIXED is -1: the last entry is its own

        # By indexing, so ids of any shape, and FIXED among them, are renumbered at
        # once.
        def renumber(ids):
            return numbering[ids]

        calls, name_of = self._graph.calls, self._graph.name_of
        sites = {site: renumber(ids) for site, ids in self._sites.items()}
        sites = {site: ids for site, ids in sites.items() if (ids != FIXED).any()}
        read = [
            (name_of(calls[index].operation), ids) for (index, _), ids in sites.items()
        ]
        units = {key: renumber(ids) for key, ids in self._produced.items()}
        # A group has the name of the first layer that makes it, not of a follower.
        parts = {
            key: self._parts[key]
            for key in sorted(self._parts, key=follows.get)
            if (units[key] != FIXED).any()
        }
        produced = [
            (name_of(key[0]), part, units[key][units[key] != FIXED])
            for key, part in parts.items()
        ]
        carried = {tensor: renumber(ids) for tensor, ids in self._ids.items()}
        locks = {}  # of tied units, the reason that was given first
        for unit, reason in self._locks.items():
            locks.setdefault(int(renumber(unit)), reason)
        locks.pop(FIXED, None)
        # Without any units the maximum is FIXED, and their number 0.
        num_units = int(compact.max(initial=FIXED)) + 1
        return ChannelMap(
            graph=self._graph,
            num_units=num_units,
            groups=group_units(num_units, produced, read, carried.values(), locks),
            locks=locks,
            ids=carried,
            layer_ids={
                operation: {letter: renumber(ids) for letter, ids in letters.items()}
                for operation, letters in self._layer_ids.items()
            },
            sites=sites,
            # Also marked where nothing but fixed channels is read, which is no site.
            passing=frozenset(self._passing.intersection(sites)),
            produced=parts,
            obstacles=self._obstacles,
        )
