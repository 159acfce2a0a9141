"""How many units each group loses, so that a budget is met."""

import itertools
import warnings

import numpy as np

from keras_shapley_prune.plan.budget import check_steps
from keras_shapley_prune.plan.cost_models import open_costs

TOLERANCE = 0.01  # of the quantity: how far from the budget is still met


def allocate(
    channel_map,
    budget,
    orders=None,
    losses=None,
    strict=True,
    by_saving=True,
    costs=None,
):
    """Finds out how many units of each group are kept.

    Units are removed in small steps, each from the group that is next: the one that
    has lost the smallest share (`scope="layer"`), or the one whose next units are
    worth least for what they cost (`scope="global"`). No surgery is tried: what a step
    saves is known from the `CostModel`.

    Args:
        channel_map: The `ChannelMap` of the model.
        budget: A `PruningBudget`.
        orders: Dict: group name -> its units' positions, least valuable first.
            `None` for any order. A group that is not in it loses no units.
        losses: Dict: group name -> float array, what the loss of each unit costs in
            that order, comparable between groups. Only for `scope="global"`.
        strict: Boolean. If not, as much is removed as possible where the budget
            cannot be met.
        by_saving: Boolean, whether losses are divided by what a step saves. Scores that
            only order units, such as weight norms, do not bear that: nearly all would
            go from the layers in which a unit costs most.
        costs: What `open_costs` returned for the quantity of the budget, `None` for
            what is counted.

    Returns:
        Dict: group name -> integer, how many units are kept.

    Raises:
        ValueError: If the budget cannot be met because too little can be removed. A
            `UserWarning` tells if it is missed by more than 1 % for another reason.
    """
    groups = budget.select_groups(channel_map)
    if orders is not None:
        groups = [group for group in groups if group.name in orders]
    # A share of each layer's own units depends on no other layer: no walk is needed.
    if (budget.of, budget.scope) == ("units", "layer"):
        kept = {group.name: _nearest_size(budget, group) for group in groups}
        if strict:
            _check_sizes(budget, groups, kept)
        return kept
    if strict and budget.ratio:
        check_steps(budget, groups)
    costs = open_costs(channel_map, budget.of) if costs is None else costs
    walk = _Walk(costs, budget, groups, orders, losses, by_saving)
    walk.run()
    if strict:
        walk.check()
    return dict(zip([group.name for group in groups], walk.kept(), strict=True))


def _nearest_number(budget, group):
    """Returns how many units are kept where only whole units count."""
    # Half a unit is rounded up to one that is removed.
    removed = int(budget.ratio_of(group) * group.num_units + 0.5)
    return max(group.num_units - removed, group.fewest)


def _nearest_size(budget, group):
    wanted = _nearest_number(budget, group)
    if group.kind != "channels":
        return max(wanted, int(budget.sizes(group)[-1]))
    sizes = budget.sizes(group) if budget.round_to > 1 else np.array([wanted])
    least = min(max(budget.min_units, 1), group.num_units)
    return max(int(sizes[np.argmin(np.abs(sizes - wanted))]), least)


def _check_sizes(budget, groups, kept):
    """Raises a `ValueError` if no group may lose what it should, and warns of a miss.

    That units are whole, and that one of each group is kept, is no miss.
    """
    asked_of = [group for group in groups if budget.ratio_of(group) > 0]
    if not asked_of:
        return
    check_steps(budget, asked_of)
    whole = sum(group.num_units for group in groups)
    asked = sum(budget.ratio_of(g) * g.num_units for g in asked_of) / whole
    reached = 1 - sum(kept[group.name] for group in groups) / whole
    off = [g.name for g in groups if kept[g.name] != _nearest_number(budget, g)]
    if abs(reached - asked) > TOLERANCE + 1e-9 and (off or not reached):
        reason = "in each group that is less than half a unit"
        if off:
            limits = f"round_to={budget.round_to} and min_units={budget.min_units}"
            if all(g.kind != "channels" for g in groups if g.name in off):
                # Of blocks only these say how many may go.
                limits = f"layers={budget.layers!r} and ignore={budget.ignore!r}"
            reason = f"{limits} allow no nearer number in {off}"
        warnings.warn(
            f"{reached:.1%} of the units are removed, not {asked:.1%}: {reason}",
            stacklevel=8,  # the line that called `prune` or `plan_pruning`
        )


class _Walk:
    """Steps towards the budget, and how many of them each group has taken.

    The state is one float array, how long each axis of the `CostModel` is by now: a
    step of a group subtracts what its units take up of each axis. So the cost after
    any step is exact, also where two groups meet in one kernel.
    """

    def __init__(self, costs, budget, groups, orders, losses, by_saving):
        self._budget, self._by_saving, self._costs = budget, by_saving, costs
        self._lengths = costs.lengths()
        self._whole = self._costs.total(self._lengths)
        self._target = (1 - budget.ratio) * self._whole
        self._sizes = [budget.sizes(group, costs.step) for group in groups]
        self._steps = []  # of each group: how much of each axis every step takes
        self._priorities = []
        for group, sizes in zip(groups, self._sizes, strict=True):
            order = np.arange(group.num_units) if orders is None else orders[group.name]
            units = group.units[order]  # the first ones are removed first
            ends = group.num_units - sizes  # how many have been removed after each step
            spans = list(itertools.pairwise(ends))
            self._steps.append([self._costs.lengths_of(units[a:b]) for a, b in spans])
            # The smallest priority is next. Per layer: the share that is removed by
            # then.
            if budget.scope == "layer":
                self._priorities.append(ends[1:] / group.num_units)
            else:
                loss = losses[group.name]
                self._priorities.append([loss[a:b].sum() for a, b in spans])
        self._taken = np.zeros(len(groups), int)
        self._is_of_blocks = [group.kind != "channels" for group in groups]

    def kept(self):
        """Returns how many units of each group are kept, a list of integers."""
        return [int(s[t]) for s, t in zip(self._sizes, self._taken, strict=True)]

    def run(self):
        """Removes units until the budget is met as nearly as steps allow."""
        last = self._walk()
        beyond = last is not None and self._costs.total(self._lengths) <= self._target
        end = self._lengths, self._taken.copy()
        self._refine()
        # A filter more or less is near enough; a block may be half of the network.
        if beyond and self._is_of_blocks[last] and self._missed() > self._near:
            self._walk_on(last, *end)

    @property
    def _near(self):
        return self._costs.tolerance * self._whole

    def _missed(self):
        return abs(self._costs.total(self._lengths) - self._target)

    def _walk(self, fitting=False):
        """Takes steps until the budget is met; returns the group of the last one.

        Args:
            fitting: Boolean, whether blocks that lead too far beyond it are left out.
        """
        last = None
        while self._costs.total(self._lengths) > self._target:
            group = self._next_group(fitting)
            if group is None:
                break
            self._move(group, 1)
            last = group
        return last

    def _walk_on(self, last, lengths, taken):
        """Leaves out the block that led too far, if the others come much nearer.

        Args:
            last: Integer, the group of the last step.
            lengths: What the walk came to.
            taken: The same.
        """
        missed, refined = self._missed(), (self._lengths, self._taken)
        self._lengths, self._taken = lengths, taken
        self._move(last, -1)
        self._walk(fitting=True)
        self._refine()
        # For a little less, filters that save next to nothing would all be removed.
        if self._missed() > missed / 2:
            self._lengths, self._taken = refined

    def check(self):
        """Raises a `ValueError` if the budget cannot be met, and warns if it is not."""
        total = self._costs.total(self._lengths)
        reached = 1 - total / self._whole
        if abs(total - self._target) <= self._near:
            return
        if total > self._target and self._next_group() is None:
            raise ValueError(
                f"Argument `ratio` should be at most {reached:.3f}: no more of the "
                f"{self._budget.of} can be removed, the rest is {self._costs.rest}. "
                f"Received: ratio={self._budget.ratio!r}"
            )
        warnings.warn(
            f"{reached:.1%} of the {self._budget.of} are removed, not "
            f"{self._budget.ratio:.1%}: single steps of the units that can be removed "
            f"(round_to={self._budget.round_to}) are not smaller",
            stacklevel=8,  # the line that called `prune` or `plan_pruning`
        )

    def _next_group(self, fitting=False):
        """Returns the number of the group to take a step in, `None` if there is none.

        What a step saves depends on how long the axes are now: a unit gets cheaper as
        its neighbours shrink.

        Args:
            fitting: See `_walk`.
        """
        both = enumerate(zip(self._steps, self._taken, strict=True))
        open_groups = [group for group, (steps, taken) in both if taken < len(steps)]
        next_steps = [self._steps[g][self._taken[g]] for g in open_groups]
        savings = self._costs.savings(self._lengths, next_steps)
        best, lowest = None, np.inf
        for group, step, saved in zip(open_groups, next_steps, savings, strict=True):
            if saved <= 0:  # it would never come nearer to the budget
                continue
            if fitting and self._is_of_blocks[group]:
                after = self._costs.total(self._lengths - step)
                if after < self._target - self._near:
                    continue
            priority = self._priorities[group][self._taken[group]]
            if self._budget.scope == "global" and self._by_saving:
                priority = priority / saved  # loss per FLOP, byte, ...
            if priority < lowest:
                best, lowest = group, priority
        return best

    def _move(self, group, by):
        """Takes a step in one group, or takes it back."""
        if by > 0:
            self._lengths = self._lengths - self._steps[group][self._taken[group]]
        else:
            self._lengths = self._lengths + self._steps[group][self._taken[group] - 1]
        self._taken[group] += by

    def _refine(self):
        """Takes one step, or takes it back, in groups where that comes nearer.

        The walk ends with the first step beyond the budget, which may be a large one.
        A small step of another group back can then be better.
        """
        walked = self._taken.copy()  # no group may move further than one step from it
        while True:
            missed = self._missed()
            if missed <= 0.1 * self._costs.tolerance * self._whole:  # near enough
                return
            found = []
            for group, steps in enumerate(self._steps):
                for by in (1, -1):
                    taken = self._taken[group] + by
                    if 0 <= taken <= len(steps) and abs(taken - walked[group]) <= 1:
                        self._move(group, by)  # on trial
                        total = self._costs.total(self._lengths)
                        away = abs(total - self._target)
                        found.append((away, self._gives_back(group, by), group, by))
                        self._move(group, -by)
            if not found or min(found)[0] >= missed:  # each move has to come nearer
                return
            self._move(*min(found)[2:])

    def _gives_back(self, group, by):
        """Returns whether a step that has been tried puts back what is worth nothing.

        Such as units that nothing reads: another one is better put back.
        """
        put_back = by < 0 and self._budget.scope == "global"
        return put_back and not self._priorities[group][self._taken[group]]
