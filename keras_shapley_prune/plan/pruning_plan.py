"""The plan: how many units of each group are kept, and what that will cost."""

import copy
import dataclasses
import json
import os
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import check_kind, show
from keras_shapley_prune.inputs.json_files import format_of, load_json
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.paths import open_to_write
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.cost_model import QUANTITIES as COUNTED
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.quantities import describe_cost, describe_sizes
from keras_shapley_prune.trace.blocks import GRANULARITIES
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.sizes import find_open_inputs, give_sizes
from keras_shapley_prune.trace.tracer import trace_channels

_KEPT = "a dict: group name -> how many of its units are kept"
_WIDTH = 72  # characters of a line, without what stands before them


class PruningPlan:
    """What `prune` is about to do: which units of each group are kept.

    Args:
        channel_map: The `ChannelMap` of the model.
        kept: Dict: group name -> integer, how many of its units are kept. A group
            that is not in it loses none.
        orders: Dict: group name -> integer array, positions in the group, in order of
            removal.
        budget: The `PruningBudget` it was made for, or `None`.

    Raises:
        ValueError: If an argument is not of that form, a group is not the model's, or
            is to keep more units than it has, or none.

    Attributes:
        channel_map: The `ChannelMap` of the model.
        units: Dict: group name -> `(units before, units after)`.
        costs: Dict: `"units"`, `"params"`, `"flops"`, `"bytes"` -> `(before, after)`,
            exact; `(None, None)` where a spatial size is not known.
        keep: Boolean array, shape `(num_units,)`, what `remove_channels` takes.
        budget: The `PruningBudget`, or `None`.
        latency: The `PlannedLatency` of a budget of latency, else `None`.

    Example:

    ```python
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5, of="flops")
    plan.save("plan.json")  # "num_kept" of each group can be edited there
    plan = keras_shapley_prune.PruningPlan.load("plan.json", model)
    plan = plan.resize({"conv2d_1": 24})
    ```
    """

    def __init__(self, channel_map, kept, orders, budget=None):
        _check_types(channel_map, kept, orders, budget)
        groups = {group.name: group for group in channel_map.groups}
        unknown = [name for name in kept if name not in groups]
        if unknown:
            raise ValueError(
                f"Argument `kept` should name groups of the model: {list(groups)}. "
                f"Received: {unknown}"
            )
        self.channel_map, self.budget, self.latency = channel_map, budget, None
        self.units, self._orders = {}, {}
        self.keep = np.ones(channel_map.num_units, bool)
        for name, num_kept in kept.items():
            size = groups[name].num_units
            order = _read_order(name, size, orders.get(name))
            _check_count(groups[name], num_kept)
            self.units[name] = size, int(num_kept)
            self._orders[name] = order
            # The order is kept too, so that `resize` can move the cut.
            self.keep[groups[name].units[order[: size - num_kept]]] = False
        self.costs = {of: self._count(of) for of in COUNTED}

    @property
    def num_kept(self):
        """Dict: group name -> integer, how many of its units are kept."""
        return {name: after for name, (_, after) in self.units.items()}

    def with_latency(self, latency, budget=None):
        """Returns the same plan with a latency.

        Args:
            latency: A `PlannedLatency`.
            budget: The `PruningBudget` that it has been made for, if not this plan's.
        """
        plan = copy.copy(self)  # what is counted has been counted
        plan.budget = self.budget if budget is None else budget
        plan.latency = latency
        plan.costs = {**self.costs, "latency": latency.best_known}
        return plan

    def resize(self, kept):
        """Returns a plan that keeps other numbers of units.

        Args:
            kept: Dict: group name -> integer, how many units are kept. The other
                groups are as planned.

        Raises:
            ValueError: If a group is not in the plan, or does not have that many units.
        """
        check_kind("kept", kept, Mapping, _KEPT)
        unknown = [name for name in kept if name not in self.units]
        if unknown:
            raise ValueError(
                f"Argument `kept` should name groups of the plan: {list(self.units)}. "
                f"Received: {unknown}"
            )
        sizes = self.num_kept | dict(kept)
        return PruningPlan(self.channel_map, sizes, self._orders, self._counted_budget)

    @undisturbed
    def bind(self, model):
        """Returns the same plan for another model of the same groups.

        Args:
            model: A built Sequential or functional `keras.Model`.

        Raises:
            ValueError: If it does not have these groups, of these sizes.
        """
        check_model(model)
        try:
            shapes = self.channel_map.graph.input_shapes or None
            channel_map = _trace(model, shapes, self.channel_map.granularity)
            args = channel_map, self.num_kept, self._orders, self._counted_budget
            plan = PruningPlan(*args)
            return (
                plan.with_latency(self.latency, self.budget) if self.latency else plan
            )
        except ValueError as error:
            raise ValueError(
                "Argument `model` should be the model of the plan, or have the same "
                f"groups. Received: model {model.name!r}, of which the plan says: "
                f"{error}"
            ) from error

    def __str__(self):
        width = max([len(name) for name in [*self.units, "parameters"]])
        lines = []
        if self.budget is not None:
            lines.append(self.describe_budget())
        lines.append(f"{'group':{width}}  {'units':>15}")
        gone = self._find_gone()
        for name, (before, after) in self.units.items():
            line = f"{name:{width}}  {before:>6} → {after:>6}"
            lines.append(line + ("  in a removed block" if name in gone else ""))
        if self.removed_blocks:
            lines.append(f"removed blocks: {', '.join(self.removed_blocks)}")
        titles = {"params": "parameters", "flops": "FLOPs", "bytes": "bytes"}
        sizes = describe_sizes(find_open_inputs(self.channel_map.graph))
        for of, title in titles.items():
            cost = describe_cost(*self.costs[of], sizes if of == "flops" else "")
            lines.append(f"{title:{width}}  {cost}")
        if self.latency is not None:
            lines.append(f"{'latency':{width}}  {self.latency}")
        return "\n".join(lines)

    def _find_gone(self):
        """Returns the set of the groups whose layers go with removed blocks."""
        if not self.removed_blocks:
            return set()
        found = self.channel_map
        absent = found.absent_calls(self.keep)
        there = {c.operation for c in found.graph.calls if c.index not in absent}
        produced = {
            unit
            for operation, letter in found.produced
            if operation in there
            for unit in found.layer_ids[operation][letter].tolist()
        }
        groups = [group for group in found.groups if group.kind == "channels"]
        return {g.name for g in groups if produced.isdisjoint(g.units.tolist())}

    @property
    def _counted_budget(self):
        """The budget, `None` if how far it is met is not known any more."""
        is_timed = self.budget is not None and self.budget.of == "latency"
        return None if is_timed else self.budget

    @property
    def removed_blocks(self):
        """Tuple of the names of the blocks that are removed as a whole."""
        blocks = self.channel_map.blocks
        return tuple(block.name for block in blocks if not self.keep[block.unit])

    def describe_budget(self):
        """Returns what was asked for and what is reached, a line."""
        budget = self.budget
        if budget is None:  # it has been read from a file, or changed since
            before, after = self.costs["units"]
            return f"removed: {1 - after / before:.1%} of the units"
        if not isinstance(budget.ratio, (int, float, np.number)):
            groups = [g for g in self.channel_map.groups if g.name in self.units]
            wanted = sum(budget.ratio_of(group) * group.num_units for group in groups)
            whole = max(sum(group.num_units for group in groups), 1)
            removed = sum(before - after for before, after in self.units.values())
            shares = f"{dict(budget.ratio)}, "
            text = (
                f"{wanted / whole:.1%} of the units of these layers; "
                f"reached: {removed / whole:.1%}"
            )
            return f"asked: {shares if len(shares + text) < _WIDTH else ''}{text}"
        before, after = self.costs[budget.of]
        if (budget.of, budget.scope) == ("units", "layer"):
            # Each layer's own: that some of them go with a block is beside the budget.
            before, after = map(sum, zip(*self.units.values(), strict=True))
        return (
            f"asked: {budget.ratio:.1%} of the {budget.of}, {budget.scope} scope; "
            f"reached: {1 - after / before:.1%}"
        )

    def save(self, path):
        """Writes the plan to a JSON file, one group a line.

        Args:
            path: String or path-like.

        Raises:
            ValueError: If there cannot be such a file.
        """
        lines = [
            f"  {json.dumps(name)}: "
            + json.dumps(
                {
                    "num_units": before,
                    "num_kept": after,
                    "first_to_leave_first": self._orders[name].tolist(),
                }
            )
            for name, (before, after) in self.units.items()
        ]
        with open_to_write(path) as file:
            file.write(f'{{"format": {json.dumps(format_of("PruningPlan"))},\n')
            file.write(f' "predicted": {json.dumps(self.costs)},\n')
            if self.latency is not None:
                latency = json.dumps(self.latency.to_fields())
                file.write(f' "latency": {latency},\n')
            shapes = self.channel_map.graph.input_shapes
            if self.channel_map.granularity != "filter":
                granularity = json.dumps(self.channel_map.granularity)
                file.write(f' "granularity": {granularity},\n')
                names = _name_blocks(self.channel_map)
                file.write(f' "block_names": {json.dumps(names)},\n')
            if shapes:  # what the FLOPs are of
                file.write(f' "input_shapes": {json.dumps(shapes)},\n')
            file.write(' "groups": {\n' + ",\n".join(lines) + "\n }}\n")

    @classmethod
    def load(cls, path, model, input_shape=None):
        """Reads a plan that `save` wrote, perhaps edited since.

        Args:
            path: String or path-like.
            model: The `keras.Model` it is for: the plan is checked against it, and
                what it will cost is counted anew.
            input_shape: The shape of one example, for which FLOPs are counted where the
                model takes any size, see `count_flops`. `None` for the one of the file,
                if it has one.

        Returns:
            A `PruningPlan`, without a budget.

        Raises:
            ValueError: If there is no such file, or it holds something else, or the
                plan of another model. The message names the place.
        """
        # "predicted" is not read: the plan may be edited.
        fields = load_json(path, "PruningPlan")
        groups, shapes = fields.dicts("groups"), fields.shapes("input_shapes")
        granularity = fields.choice("granularity", GRANULARITIES, "filter")
        kept, orders = {}, {}
        least = 1 if granularity == "filter" else 0  # all blocks may be removed
        for name, group in groups.items():
            orders[name] = group.integers("first_to_leave_first")
            kept[name] = group.integer("num_kept", least, len(orders[name]))
        shapes = shapes if input_shape is None else input_shape
        try:
            channel_map = _trace(model, shapes, granularity)
            _check_blocks(channel_map, fields.get("block_names"))
            return cls(channel_map, kept, orders)
        except ValueError as error:
            if "`model`" in str(error) or input_shape is not None:
                raise
            raise ValueError(
                "Argument `path` should name a plan of this very model. Received: "
                f"path={os.fspath(path)!r}, of which is wrong: {error}"
            ) from error

    def _count(self, of):
        try:
            costs = CostModel(self.channel_map, of)
        except ValueError:  # a spatial size is not known
            return None, None
        whole = np.ones(self.channel_map.num_units, bool)
        return costs.count(whole), costs.count(self.keep)


def _trace(model, input_shape, granularity):
    """Returns the `ChannelMap` of a model, for examples of a shape, if it is given."""
    channel_map = trace_channels(model, granularity)
    graph = give_sizes(channel_map.graph, input_shape)
    return dataclasses.replace(channel_map, graph=graph)


def _name_blocks(channel_map):
    groups = [group for group in channel_map.groups if group.kind != "channels"]
    return {group.name: list(group.producers) for group in groups}


def _check_blocks(channel_map, names):
    """Raises a `ValueError` if the blocks of a model are not those of a file.

    All of them are one group: that others are as many would show nowhere.
    """
    ours = _name_blocks(channel_map)
    if names is not None and names != ours:
        raise ValueError(f"the blocks of the model are {ours}, not {show(names)}")


def _check_types(channel_map, kept, orders, budget):
    expected = "the `ChannelMap` that `trace_channels(model)` returns"
    check_kind("channel_map", channel_map, ChannelMap, expected)
    check_kind("kept", kept, Mapping, _KEPT)
    check_kind("orders", orders, Mapping, "a dict: group name -> positions")
    if budget is not None:
        check_kind("budget", budget, PruningBudget, "a `PruningBudget` or None")


def _check_count(group, num_kept):
    """Raises a `ValueError` unless a group can keep so many units."""
    name, size, least = group.name, group.num_units, group.fewest
    integer = isinstance(num_kept, (int, np.integer)) and not isinstance(num_kept, bool)
    if not integer or not least <= num_kept <= size:
        raise ValueError(
            f"Argument `kept` should keep between {least} and {size} units of "
            f"{name!r}. Received: {show(num_kept)}"
        )


def _read_order(name, size, order):
    """Returns the order of a group's units as an array, by default as they come."""
    if order is None:
        return np.arange(size)
    try:
        found = np.asarray(order)
    except ValueError:  # nested lists of different lengths
        found = np.array(None)
    if found.dtype.kind not in "iu" or sorted(found.ravel()) != list(range(size)):
        raise ValueError(
            f"Argument `orders` should order the {size} units of {name!r}, each once, "
            f"counted from 0. Received: {show(order)}"
        )
    return found.ravel().astype(int)
