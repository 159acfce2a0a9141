"""Where the units of a model are: produced, carried and read."""

import functools

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import FIXED, INSIDE, has_units, kept
from keras_shapley_prune.trace.graph import find_dependents
from keras_shapley_prune.trace.shared_tensors import find_for_all


class UnitPlaces:
    """The part of a `ChannelMap` that finds units in the graph; see its attributes."""

    @functools.cached_property
    def for_all(self):
        """Frozenset of the tensors that are one for all examples, as a weight is."""
        return find_for_all(self.graph)

    def sites_at(self, call):
        """Finds what a call reads.

        Args:
            call: A `Call` of `graph`, or of a copy of it.

        Returns:
            Dict: input position, or `INSIDE` -> unit of each channel, for `sites`.
        """
        # By index, not by identity: the calls of a masked copy are other objects.
        places = (INSIDE, *range(len(call.inputs)))
        found = {place: self.sites.get((call.index, place)) for place in places}
        return {place: ids for place, ids in found.items() if ids is not None}

    @functools.cached_property
    def across(self):
        """Dict: tensor -> dict: axis other than the last that has units -> those."""
        found = {}
        for key, ids in self.ids.items():
            if isinstance(key, tuple):
                found.setdefault(key[0], {})[key[1]] = ids
        return found

    def ids_at(self, call, position, axis):
        """Returns the unit of each position of an axis of what a call reads.

        Args:
            call: A `Call` of `graph`, or of a copy of it.
            position: Integer, which of its inputs.
            axis: Integer, at least 0.

        Returns:
            Integer array, `None` if no units are on that axis.
        """
        tensor = self.graph.calls[call.index].inputs[position]
        ids = self.across.get(tensor, {}).get(axis)
        if axis == len(tensor.shape) - 1:
            ids = self.ids[tensor]
        return ids if ids is not None and has_units(ids) else None

    def kept_positions(self, keep, tensor):
        """Returns which positions of a tensor are kept, for its rows.

        Args:
            keep: Boolean array, shape `(num_units,)`.
            tensor: A symbolic tensor.

        Returns:
            Integer array of places in the axes between the first and the last one, as
            one axis. `None` if all are.
        """
        axes = self.across.get(tensor, {})
        if all(kept(keep, ids).all() for ids in axes.values()):
            return None
        there = np.ones(tensor.shape[1:-1], bool)
        for axis, ids in axes.items():
            along = [-1 if a == axis else 1 for a in range(1, len(tensor.shape) - 1)]
            there &= kept(keep, ids).reshape(along)
        return np.flatnonzero(there)

    def producers_of(self, group):
        """Finds what computes a group.

        Args:
            group: A `ChannelGroup`.

        Returns:
            List of the keys of `produced`: operations of the original model, and the
            letters under which they have the units. Empty for blocks.
        """
        if group.kind != "channels":
            return []
        # A layer may have units of several kinds, such as heads and outputs.
        keys = [key for name in group.producers for key in self._produced_by_name[name]]
        unit = group.units[0]  # all have the same producers
        return [key for key in keys if unit in self.layer_ids[key[0]][key[1]]]

    @functools.cached_property
    def _produced_by_name(self):
        found = {}
        for operation, letter in self.produced:
            name = self.graph.name_of(operation)
            found.setdefault(name, []).append((operation, letter))
        return found

    def sites_of(self, group):
        """Finds where a group is read.

        Args:
            group: A `ChannelGroup`.

        Returns:
            Dict: those of `sites` that carry units of the group.
        """
        places = self._places_of.get(group.name, ())
        return {place: self.sites[place] for place in places}

    @functools.cached_property
    def _places_of(self):
        """Dict: name of a group -> list of the keys of `sites` that carry its units."""
        owner = np.full(self.num_units, -1)
        for number, group in enumerate(self.groups):
            owner[group.units] = number
        found = {group.name: [] for group in self.groups}
        for place, ids in self.sites.items():
            for number in np.unique(owner[ids[ids != FIXED]]):
                if number >= 0:
                    found[self.groups[number].name].append(place)
        return found

    def is_read(self, group):
        """Returns whether anything depends on which units of a group there are.

        It does not where nothing reads them, such as channels that a slice leaves out.

        Args:
            group: A `ChannelGroup`.
        """
        return bool(self._places_of.get(group.name))

    def ends_of(self, group):
        """Finds where a group is read for good: its sites but for the passing ones.

        Those too where there are no others, as of channels that are normalized with
        others, and left out by a slice then.

        Args:
            group: A `ChannelGroup`.

        Returns:
            Dict: those of `sites` that carry units of the group.
        """
        sites = self.sites_of(group)
        ends = {site: ids for site, ids in sites.items() if site not in self.passing}
        return ends or sites

    def changed_calls(self, keep):
        """Finds which calls read something else once units are removed.

        Args:
            keep: Boolean array, shape `(num_units,)`.

        Returns:
            Tuple of the `Call`s that read removed units, or what such a call returns.
        """
        sites = self.sites.items()
        indices = {index for (index, _), ids in sites if not kept(keep, ids).all()}
        return find_dependents(self.graph, indices)
