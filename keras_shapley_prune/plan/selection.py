"""Which units are removed: from a ranking and a budget to a plan."""

import warnings
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import check_kind, show
from keras_shapley_prune.plan.allocation import allocate
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.pruning_plan import PruningPlan

DEEPEST = 0.95  # how far a ranking looks where a budget may take any share of a group


def make_plan(channel_map, ranking, budget, strict=True, costs=None):
    """Returns the `PruningPlan` of a ranking and a `PruningBudget`.

    Args:
        channel_map: The `ChannelMap` of the model.
        ranking: A `Ranking`.
        budget: A `PruningBudget`.
        strict: Boolean. If not, as much is removed as possible where the budget
            cannot be met.
        costs: The `LatencyCosts` of the model, for a budget of latency.

    Raises:
        ValueError: See `plan_pruning`.
    """
    check_ranking(ranking, channel_map)
    check_selected(ranking, budget.select_groups(channel_map))
    ranked = [group for group in channel_map.groups if group.name in ranking]
    orders = {group.name: ranking[group.name].order for group in ranked}
    comparable = getattr(ranking, "comparable", True)
    losses = {g.name: _losses(ranking[g.name], comparable) for g in ranked}
    for group in ranked:
        # Blocks that are not selected come last, where they are kept.
        kept = ~budget.may_remove(group)[orders[group.name]]
        last = np.argsort(kept, kind="stable")
        orders[group.name] = orders[group.name][last]
        losses[group.name] = losses[group.name][last]
    kept = allocate(channel_map, budget, orders, losses, strict, comparable, costs)
    return PruningPlan(channel_map, kept, orders, budget)


def ratios_to_rank(channel_map, budget):
    """Returns what share of each group a ranking has to look at for a budget.

    Args:
        channel_map: The `ChannelMap` of the model.
        budget: A `PruningBudget`.

    Returns:
        What a ranker takes as `ratio`: a float if it is the same for all groups, or
        a dict: group name -> float.
    """
    ratio = budget.ratio
    # Only a plain share of each group is known before the ranking.
    plain = PruningBudget(ratio, layers=budget.layers, ignore=budget.ignore)
    if budget == plain and not isinstance(ratio, Mapping):
        return ratio
    groups = budget.select_groups(channel_map)
    # What a layer takes is measured later than it is ranked.
    if budget.scope == "global" or budget.of == "latency":
        return {group.name: DEEPEST for group in groups}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plan will say by how much it is off
        kept = allocate(channel_map, budget)
    # A share is below 1, also where all blocks go: a quarter of one is rounded away.
    return {g.name: 1 - max(kept[g.name], 0.25) / g.num_units for g in groups}


def _losses(scores, comparable):
    """Returns what the loss of each unit costs, in the order of removal.

    The cost of a unit once all units before it have been removed, if that is known,
    else the unit's value; divided by the group's mean if values of different groups
    cannot be compared.
    """
    known = getattr(scores, "removal_costs", None)
    values = scores.values if known is None else known
    values = np.maximum(values[scores.order], 0.0)
    if not comparable:
        values = values / max(np.nanmean(values), np.finfo(float).tiny)
    # A unit is removed only together with those before it: its cost is at least theirs.
    return np.maximum.accumulate(np.nan_to_num(values, nan=np.inf))


def check_scores(ranking, argument="ranking"):
    """Raises a `ValueError` unless a ranking is one, of whatever model.

    Args:
        ranking: See `check_ranking`.
        argument: String, what it is given for.
    """
    expected = "a `Ranking`, or a dict: group name -> `GroupScores`"
    check_kind(argument, ranking, Mapping, expected)
    for name, scores in ranking.items():
        # A ranker of the user's own may return scores of a class of its own.
        if not hasattr(scores, "order") or np.ndim(getattr(scores, "values", 0)) != 1:
            raise ValueError(
                f"Argument `{argument}` should be {expected}. "
                f"Received: {name!r}: {show(scores)}"
            )


def check_ranking(ranking, channel_map):
    """Raises a `ValueError` unless a ranking scores groups of a model.

    Args:
        ranking: A `Ranking`, or a dict: group name -> `GroupScores`.
        channel_map: The `ChannelMap` of the model.
    """
    check_scores(ranking)
    sizes = {group.name: group.num_units for group in channel_map.groups}
    # One that ranks filters, too, serves plans of whole blocks alone as well.
    is_of_blocks = channel_map.granularity == "block"
    others = channel_map.count_produced() if is_of_blocks else {}
    for name, scores in ranking.items():
        if name not in sizes and others.get(name) == len(scores.values):
            continue
        if sizes.get(name) != len(scores.values):
            raise ValueError(
                "Argument `ranking` should score the groups of the model: "
                f"{sizes}. Received: {len(scores.values)} values for {name!r}"
            )
        _check_finite(name, scores)


def check_selected(ranking, groups):
    """Raises a `ValueError` if a ranking scores none of the groups that may lose units.

    Args:
        ranking: See `check_ranking`.
        groups: List of `ChannelGroup`, those that a budget selects.
    """
    names = [group.name for group in groups]
    if names and not any(name in ranking for name in names):
        raise ValueError(
            "Argument `ranking` should score groups that may lose units: "
            f"{show(names)}. Received: a ranking of {show(list(ranking))}"
        )


def _check_finite(name, scores):
    """Raises a `ValueError` if a score is not finite, but for units never sampled.

    These have no value and an infinite standard error, see `GroupScores`.
    """
    values = np.asarray(scores.values, float)
    errors = np.asarray(getattr(scores, "standard_errors", np.zeros(len(values))))
    wrong = ~np.isfinite(values) & ~(np.isnan(values) & np.isinf(errors))
    costs = getattr(scores, "removal_costs", None)
    for what, found in (
        ("a value", wrong),
        ("a removal cost", np.zeros(1) if costs is None else np.isinf(costs)),
    ):
        if found.any():
            raise ValueError(
                "Argument `ranking` should hold finite scores. Received: "
                f"{what} that is not finite, for unit {int(np.argmax(found))} of "
                f"group {name!r}"
            )
