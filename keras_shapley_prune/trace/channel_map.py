"""The map of a model's units: groups, locks, and where each unit is."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.patterns import as_list, check_patterns, is_function
from keras_shapley_prune.layer_types.obstacles import describe_trials
from keras_shapley_prune.trace.block_places import BlockPlaces
from keras_shapley_prune.trace.lock_text import describe_locks
from keras_shapley_prune.trace.named_units import name_units
from keras_shapley_prune.trace.unit_places import UnitPlaces


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelMap(UnitPlaces, BlockPlaces):
    """Where every unit of a model is produced, carried and read.

    Attributes:
        graph: The recorded `Graph` of the model.
        num_units: Integer. Units are numbered from 0; tied channels share a number.
        groups: Tuple of `ChannelGroup`, from the input to the output: all units that
            can be removed.
        locks: Dict: unit -> why it cannot be removed.
        ids: Dict: symbolic tensor -> unit of each position of its last axis; and pairs
            of a tensor and another axis that has units -> those.
        layer_ids: Dict: operation -> dict of the letters of its weight axes
            (`"i"`, `"o"`, ...) -> unit of each position.
        sites: Dict: `(call index, input position)` -> unit of each channel that a
            layer reads there. A removed unit acts at its sites and nowhere else. The
            position is `INSIDE` for units that a layer reads within, such as the
            heads of an attention.
        passing: Frozenset of those sites from where the units go on, each by itself:
            a normalization reads all of them, but its readers read them too.
        produced: Dict: an operation that produces units and the letter of `layer_ids`
            under which it has them, in running order -> what they are, such as
            `"heads"`, `None` if they are what the layer returns.
        obstacles: Dict: operation that cannot be pruned -> why.
    """

    graph: object
    num_units: int
    groups: tuple
    locks: dict
    ids: dict
    layer_ids: dict
    sites: dict
    passing: frozenset
    produced: dict
    obstacles: dict

    def __repr__(self):
        return (
            f"<ChannelMap: {self.num_units} units, {len(self.locks)} of them locked, "
            f"the others in {len(self.groups)} groups>"
        )

    def count_produced(self):
        """Returns a dict: name of what produces units -> their number."""
        counts = {}
        for (operation, letter), part in self.produced.items():
            name = self.graph.name_of(operation)
            name = name if part is None else f"{name}/{part}"
            counts[name] = len(self.layer_ids[operation][letter])
        return counts

    @functools.cached_property
    def trials(self):
        """Dict: operation -> what of it has been found to keep channels apart by trial.

        A tuple of strings: its class, or a function such as `"activation mish"`. Nobody
        has declared them, but they have been run on random numbers.
        """
        calls = {call.operation: call for call in self.graph.calls}
        found = {
            operation: describe_trials(call)
            for operation, call in calls.items()
            if operation not in self.obstacles
        }
        return {operation: what for operation, what in found.items() if what}

    def select_groups(self, layers=None, argument="layers"):
        """Returns the groups that `layers` selects.

        Args:
            layers: `None` for all groups, or a layer name, a shell-style pattern
                such as `"block2_*"`, a compiled regular expression, a function of a
                layer, or a list of them. A group is selected when one of its producers
                is. The name of a layer is no pattern, whatever characters it holds.
                The layers of a nested model have its name before theirs:
                `"backbone/conv1"`, `"backbone/*"`. A regular expression is searched for
                in these names. A callable `fn(layer)` returns `True` or `False`.
            argument: String, the argument that it was given as, for errors.

        Returns:
            Tuple of `ChannelGroup`.

        Raises:
            ValueError: If a pattern selects nothing, a callable raises or returns
                something else, or the model has no groups.
        """
        check_patterns(argument, layers)
        self._check_groups()
        if layers is None:
            return self.groups
        patterns = as_list(layers)
        if not patterns:
            raise ValueError(
                f"Argument `{argument}` should hold a layer name or pattern, or be "
                f"None. Received: {argument}={layers!r}"
            )
        found = [self._find_producers(pattern, argument) for pattern in patterns]
        # From the input to the output and each once, in whatever order patterns come.
        return tuple(g for g in self.groups if any(g in f for f in found))

    def name_selected(self, patterns, argument):
        """Returns patterns with the names of layers in the place of functions.

        Args:
            patterns: See `layers` of `select_groups`.
            argument: String, the argument that they were given as, for errors.

        Raises:
            ValueError: See `select_groups`.
        """
        if patterns is None or not any(map(is_function, as_list(patterns))):
            return patterns
        self._check_groups()
        named = []
        for pattern in as_list(patterns):
            if is_function(pattern):
                found = self._find_producers(pattern, argument).values()
                named += dict.fromkeys(itertools.chain(*found))  # each name once
            else:
                named.append(pattern)
        return named

    def _check_groups(self):
        if not self.groups:
            raise ValueError(
                "Argument `model` should be a model with removable units. "
                f"Received: one without: {self.describe_locks()}"
            )

    def _find_producers(self, pattern, argument):
        """Returns a dict: group -> the names of its producers that are selected."""
        found = {g: g.find_producers(pattern, argument) for g in self.groups}
        found = {group: names for group, names in found.items() if names}
        if found:
            return found
        # A name that is right but locked deserves the reason, not a list of names only.
        locked = {n: r for n, r in self.lock_reasons().items() if n == pattern}
        names = [name for group in self.groups for name in group.producers]
        expected = "select layers with removable units"
        if isinstance(pattern, str):  # the command line takes nothing else
            expected = (
                "hold names of layers with removable units, or shell-style patterns "
                "that match some"
            )
        raise ValueError(
            f"Argument `{argument}` should {expected}. Received: {show(pattern)}"
            + (f", which is locked: {locked[pattern]}. " if locked else ". ")
            + f"Layers with removable units: {names}"
        )

    def lock_reasons(self):
        """Returns a dict: layer name -> why (some of) its units are locked.

        Layers with weights that cannot be pruned themselves are in it too.
        """
        # Operations without weights are not listed: the layers before them are locked
        # for their reason. Nor are layers within a layer: the graph does not call them.
        reasons = {
            self.graph.name_of(operation): reason
            for operation, reason in self.obstacles.items()
            if getattr(operation, "weights", None) and self.graph.calls_of(operation)
        }
        for operation, letter in self.produced:
            ids = self.layer_ids[operation][letter].tolist()
            locked = [self.locks[unit] for unit in ids if unit in self.locks]
            if locked:  # the first unit's reason stands for all
                reasons[self.graph.name_of(operation)] = locked[0]
        for block in self.blocks:
            if block.unit in self.locks:
                reasons[block.name] = self.locks[block.unit]
        return reasons

    def describe_locks(self):
        """Returns the locked layers and the reasons, each once, as one string."""
        return describe_locks(self.lock_reasons()) or "no layer produces channels"

    def without(self, groups):
        """Returns a boolean array, shape `(num_units,)`: false for units of groups.

        Args:
            groups: Sequence of `ChannelGroup`s.
        """
        keep = np.ones(self.num_units, bool)
        for group in groups:
            keep[group.units] = False
        return keep

    def check_keep(self, keep):
        """Raises an error unless `keep` is a selection this model can take.

        Args:
            keep: Boolean array, shape `(num_units,)`. Or a dict: name of a group or
                layer -> boolean mask or positions of the units to keep; others are
                kept whole.

        Returns:
            A boolean array, shape `(num_units,)`.

        Raises:
            ValueError: If shape, type or a name differ, or a locked unit or all units
                of a group are removed.
        """
        if isinstance(keep, Mapping):
            keep = name_units(self, keep)
        try:
            keep = np.asarray(keep)
        except ValueError:  # nested lists of different lengths
            keep = np.array(None)
        if keep.shape != (self.num_units,) or keep.dtype != bool:
            raise ValueError(
                "Argument `keep` should be a boolean array of shape "
                f"({self.num_units},): one entry for each unit of the model, or a dict "
                "of masks or positions by the names of groups. "
                f"Received: dtype={keep.dtype}, shape={keep.shape}"
            )
        for unit, reason in self.locks.items():
            if not keep[unit]:
                raise ValueError(
                    f"Argument `keep` should keep locked units. Received: "
                    f"keep[{unit}]=False, which is locked: {reason}"
                )
        for group in self.groups:
            # A layer cannot be built for no channels at all; blocks may all be
            # removed, and nothing is built of what is in one.
            some = not group.fewest or keep[group.units].any()
            if not some and self.is_there(group, keep):
                raise ValueError(
                    "Argument `keep` should keep a unit of every group. Received: "
                    f"all {group.num_units} units of {group.name!r} removed"
                )
        return keep
