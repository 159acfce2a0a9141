"""Where the blocks of a model are, and what is left of its calls without some."""

import functools
import types

from keras_shapley_prune.trace.presence import ALWAYS, is_present, present_if_any


class BlockPlaces:
    """The part of a `ChannelMap` that knows of whole blocks, see `MapWithBlocks`."""

    blocks = ()
    presence = types.MappingProxyType({})
    granularity = "filter"

    @functools.cached_property
    def block_units(self):
        """Dict: `(call index, input position)` -> unit of the block that is added."""
        # What is locked has no site, and is always there.
        return {
            place: block.unit
            for block in self.blocks
            for place in block.places
            if block.unit not in self.locks
        }

    def presence_of(self, calls):
        """Returns on which blocks it depends whether one of some calls is there.

        Args:
            calls: Iterable of `Call`s of `graph`, or of a copy of it.

        Returns:
            Frozenset of clauses, see `find_presence`.
        """
        return present_if_any(self.presence.get(call.index, ALWAYS) for call in calls)

    def absent_calls(self, keep):
        """Returns the calls that are not there any more.

        Args:
            keep: Boolean array, shape `(num_units,)`.

        Returns:
            Frozenset of their indices.
        """
        return frozenset(
            index
            for index, clauses in self.presence.items()
            if not is_present(clauses, keep)
        )

    def removed_inputs(self, keep):
        """Returns what additions do not read any more.

        Args:
            keep: Boolean array, shape `(num_units,)`.

        Returns:
            Dict: index of a call -> frozenset of input positions.
        """
        found = {}
        for (index, position), unit in self.block_units.items():
            if not keep[unit]:
                found.setdefault(index, set()).add(position)
        return {index: frozenset(positions) for index, positions in found.items()}

    def presence_of_group(self, group):
        """Returns on which blocks it depends whether any unit of a group is there.

        Args:
            group: A `ChannelGroup` of channels.

        Returns:
            Frozenset of clauses, see `find_presence`.
        """
        operations = [operation for operation, _ in self.producers_of(group)]
        calls = (self.graph.calls_of(operation) for operation in operations)
        return present_if_any(map(self.presence_of, calls))

    def is_there(self, group, keep):
        """Returns whether what computes a group is still there.

        Args:
            group: A `ChannelGroup`.
            keep: Boolean array, shape `(num_units,)`.
        """
        if not self.presence or group.kind != "channels":
            return True
        return is_present(self.presence_of_group(group), keep)
