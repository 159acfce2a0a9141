"""The map of a model's units: groups, locks, and where each unit is."""

import dataclasses
import fnmatch
import functools

import numpy as np

FIXED = -1  # the id of a channel that is no unit: it always stays


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Units that are carried by the same layers and can be removed one by one.

    Attributes:
        name: String, the first producer's name (with a suffix if that is taken). A
            layer of a nested model is named with it, as in `"backbone/conv1"`.
        units: Integer array, shape `(num_units,)`.
        producers: Tuple of the names of the layers that compute the units.
        consumers: Tuple of the names of the layers that read them.
    """

    name: str
    units: np.ndarray
    producers: tuple
    consumers: tuple

    @property
    def num_units(self):
        """Integer, how many units the group has."""
        return len(self.units)

    def matches(self, pattern):
        """Returns whether a producer has this name, or matches this pattern.

        Args:
            pattern: String, a layer name (which may hold characters that mean
                something in a pattern) or shell-style pattern.
        """
        return pattern in self.producers or bool(
            fnmatch.filter(self.producers, pattern)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelMap:
    """Where every unit of a model is produced, carried and read.

    Attributes:
        graph: The recorded `Graph` of the model.
        num_units: Integer. Units are numbered from 0; tied channels share a number.
        groups: Tuple of `ChannelGroup`, from the input to the output: all units that
            can be removed.
        locks: Dict: unit -> why it cannot be removed.
        ids: Dict: symbolic tensor -> unit of each position of its last axis.
        layer_ids: Dict: operation -> dict of the letters of its weight axes
            (`"i"`, `"o"`, ...) -> unit of each position.
        sites: Dict: `(call index, input position)` -> unit of each channel that a
            layer reads there. A removed unit acts at its sites and nowhere else.
        producers: Tuple of the operations that produce units, in running order.
        obstacles: Dict: operation that cannot be pruned -> why.
    """

    graph: object
    num_units: int
    groups: tuple
    locks: dict
    ids: dict
    layer_ids: dict
    sites: dict
    producers: tuple
    obstacles: dict

    def select_groups(self, layers=None):
        """Returns the groups that `layers` selects.

        Args:
            layers: `None` for all groups, or a layer name, a shell-style pattern
                such as `"block2_*"`, or a list of them. A group is selected when one
                of its producers matches. The layers of a nested model have its name
                before theirs: `"backbone/conv1"`, `"backbone/*"`.

        Returns:
            Tuple of `ChannelGroup`.

        Raises:
            ValueError: If a pattern selects nothing, or no group is left.
        """
        if layers is None:
            selected = self.groups
        else:
            patterns = [layers] if isinstance(layers, str) else list(layers)
            if not patterns:
                raise ValueError(
                    "Argument `layers` should hold a layer name or pattern, or be None "
                    f"for all layers. Received: layers={layers!r}"
                )
            found = [self._match(pattern) for pattern in patterns]
            selected = tuple(g for g in self.groups if any(g in f for f in found))
        if not selected:
            raise ValueError(
                "Expected a model with removable units. Received one without: "
                f"{self.describe_locks()}"
            )
        return selected

    def _match(self, pattern):
        matched = [group for group in self.groups if group.matches(pattern)]
        if matched:
            return matched
        locked = {n: r for n, r in self.lock_reasons().items() if n == pattern}
        names = [name for group in self.groups for name in group.producers]
        raise ValueError(
            "Argument `layers` should hold names of layers with removable units, or "
            f"shell-style patterns that match some. Received: {pattern!r}"
            + (f", which is locked: {locked[pattern]}. " if locked else ". ")
            + f"Layers with removable units: {names}"
        )

    def producers_of(self, group):
        """Finds what computes a group.

        Args:
            group: A `ChannelGroup`.

        Returns:
            List of the operations of the original model.
        """
        return [self._producers_by_name[name] for name in group.producers]

    @functools.cached_property
    def _producers_by_name(self):
        return {
            self.graph.name_of(operation): operation for operation in self.producers
        }

    def sites_of(self, group):
        """Finds where a group is read.

        Args:
            group: A `ChannelGroup`.

        Returns:
            Dict: those of `sites` that carry units of the group.
        """
        return {
            site: ids
            for site, ids in self.sites.items()
            if np.isin(group.units, ids).any()
        }

    def lock_reasons(self):
        """Returns a dict: layer name -> why (some of) its units are locked.

        Layers with weights that cannot be pruned themselves are in it too.
        """
        reasons = {
            self.graph.name_of(operation): reason
            for operation, reason in self.obstacles.items()
            if getattr(operation, "weights", None) and self.graph.calls_of(operation)
        }
        for operation in self.producers:
            ids = self.layer_ids[operation]["o"].tolist()
            locked = [self.locks[unit] for unit in ids if unit in self.locks]
            if locked:
                reasons[self.graph.name_of(operation)] = locked[0]
        return reasons

    def describe_locks(self):
        """Returns the locked layers and the reasons as one string."""
        reasons = self.lock_reasons()
        if not reasons:
            return "no layer produces channels"
        return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())

    def check_keep(self, keep):
        """Raises an error unless `keep` is a selection this model can take.

        Args:
            keep: Boolean array, shape `(num_units,)`.

        Returns:
            `keep` as a boolean array.

        Raises:
            ValueError: If shape or type differ, a locked unit goes, or a whole group.
        """
        keep = np.asarray(keep)
        if keep.shape != (self.num_units,) or keep.dtype != bool:
            raise ValueError(
                "Argument `keep` should be a boolean array of shape "
                f"({self.num_units},): one entry for each unit of the model. "
                f"Received: dtype={keep.dtype}, shape={keep.shape}"
            )
        for unit, reason in self.locks.items():
            if not keep[unit]:
                raise ValueError(
                    f"Argument `keep` should keep locked units. Received: "
                    f"keep[{unit}]=False, which is locked: {reason}"
                )
        for group in self.groups:
            if not keep[group.units].any():
                raise ValueError(
                    "Argument `keep` should keep a unit of every group. Received: "
                    f"all {group.num_units} units of {group.name!r} removed"
                )
        return keep


def positions_of(units, ids):
    """Returns where each unit is in an array of unit ids that holds all alike often.

    Args:
        units: Integer array, shape `(num_units,)`.
        ids: Integer array.

    Returns:
        Integer array, shape `(num_units, times)`.
    """
    order = np.argsort(ids, kind="stable")
    first, last = (
        np.searchsorted(ids[order], units, side) for side in ("left", "right")
    )
    times = int((last - first).max(initial=0))
    return order[first[:, np.newaxis] + np.arange(times)]


def kept(keep, ids):
    """Returns `keep` at unit ids; positions that carry no unit are always kept."""
    return np.append(keep, True)[ids]
