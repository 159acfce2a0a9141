"""The units of a model while it is traced: made, read, tied together, locked."""

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import (
    FIXED,
    INSIDE,
    fixed,
    has_units,
    letter_of,
    no_units,
)


class UnitLedger:
    """What flows note of units; the methods that `LayerType.flow` may call.

    Args:
        graph: The recorded `Graph`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._num_units = 0
        self._ties = []  # pairs of units, one a column
        self._locks = {}
        self._ids = {tensor: no_units(tensor) for tensor in graph.inputs}
        self._across = {}  # tensor -> dict of other axes -> units, where there are any
        self._produced = {}  # (operation, letter) -> units
        self._parts = {}  # (operation, letter) -> what they are, if not its outputs
        self._named = {}
        self._layer_ids = {}
        self._sites = {}
        self._passing = set()
        self._once = set()  # tensors that are one for all examples, as a weight is

    def ids(self, tensor):
        """Returns the unit ids at the last axis of a symbolic tensor."""
        return self._ids[tensor]

    def across(self, tensor):
        """Returns the unit ids on other axes of a tensor, a dict: axis -> ids.

        Only axes on which there are any are in it, counted from 0.
        """
        return dict(self._across.get(tensor, {}))

    def axes(self, tensor):
        """Returns `across` with the last axis, if there are units on that."""
        axes, last = self.across(tensor), len(tensor.shape) - 1
        if has_units(self.ids(tensor)):
            axes[last] = self.ids(tensor)
        return axes

    def letters(self, operation):
        """Returns the unit ids of the axes of an operation's weights, a dict.

        `None` if it has not been traced yet.
        """
        return self._layer_ids.get(operation)

    def may_go(self, ids):
        """Returns whether any of some units has not been locked so far."""
        units = np.unique(ids).tolist()
        return any(unit != FIXED and unit not in self._locks for unit in units)

    def is_for_all(self, tensor):
        """Returns whether a tensor is one for all examples, as a weight is."""
        return tensor in self._once

    def consume(self, call, position):
        """Marks that `call` mixes the channels of its input at `position`."""
        ids = self.ids(call.inputs[position])
        if call.inputs[position] in self._once:
            # Which units there are may differ from example to example, see `Mask`.
            self.lock(ids, f"{self.quote(call)} reads it once for all examples")
        # Where only fixed channels are read, nothing can ever be masked.
        if has_units(ids):
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
            start = self._num_units
            size = call.outputs[0].shape[-1] if size is None else size
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
            numbers = f"{len(ids)} and {len(others)}"
            self.lock([*ids, *others], f"{reason} of another number: {numbers}")
            return
        pairs = np.stack([ids, others])
        # A channel that is no unit, such as one of the image, is always there.
        is_fixed = (pairs == FIXED).any(axis=0)
        self.lock(pairs[:, is_fixed].ravel(), f"{reason} that cannot be removed")
        self._ties.append(pairs[:, ~is_fixed])

    def lock(self, ids, reason):
        """Forbids to remove units; the first reason given is the one shown."""
        for unit in np.unique(ids).astype(int).tolist():
            if unit != FIXED:
                self._locks.setdefault(unit, reason)

    def lock_tensor(self, tensor, reason):
        """Locks the units on all axes of a tensor."""
        for ids in self.axes(tensor).values():
            self.lock(ids, reason)

    def lock_axes(self, call, axes):
        """Locks units on axes on which a call does not follow them.

        Args:
            call: A `Call`.
            axes: Dict: axis -> unit ids.
        """
        for axis, ids in axes.items():
            what = f"may work along axis {axis}, on which these channels are"
            self.lock(ids, f"{self.quote(call)} {what}")

    def lock_all(self, call, reason):
        """Locks whatever a call reads and returns ids of no unit for each output."""
        for tensor in call.inputs:
            self.lock_tensor(tensor, reason)
        for tensor in call.outputs:
            self._ids[tensor] = no_units(tensor)
        return [self._ids[tensor] for tensor in call.outputs]

    def note_heads(self, ids):
        """Notes that units are on an axis which both tensors of a product have."""

    def _tie_shared(self, kind, operation, ids, others):
        """Ties what two calls of a layer or nested model read."""
        name = self._graph.name_of(operation)
        self.tie(ids, others, f"shared {kind} `{name}` joins it with channels")

    def _letters_of(self, end, tensor):
        """Returns a dict: letter, see `letter_of` -> units on another axis."""
        rank = len(tensor.shape)
        axes = self.across(tensor)
        return {letter_of(end, axis, rank): ids for axis, ids in axes.items()}

    def _tie_axes(self, tensor, letters, end, operation):
        """Ties units on other axes to those of the first call of a layer."""
        rank = len(tensor.shape)
        for axis in range(rank - 1):
            known = letters.get(letter_of(end, axis, rank))
            ids = self._across.get(tensor, {}).get(axis)
            if known is None and ids is None:
                continue
            none = fixed(len(known if ids is None else ids))
            known, ids = (none if x is None else x for x in (known, ids))
            self._tie_shared("layer", operation, known, ids)
