"""Staged play: units are removed between stages, and the others are valued again."""

import dataclasses

import numpy as np

from keras_shapley_prune.rank.ranking import GroupScores
from keras_shapley_prune.rank.reductions import reduce_table


@dataclasses.dataclass(frozen=True)
class Staging:
    """How the game of a group is divided.

    Attributes:
        stages: Integer, or `None` for one unit a stage. After each stage the lowest
            `1 / stages` of the units are removed for good.
        decay: Float in [0, 1], what earlier samples weigh after each stage.
        reduce: See `resolve_reduction`.
    """

    stages: int | None = 1
    decay: float = 0.8
    reduce: object = None

    def removals(self, num_units):
        """Returns how many units are removed after each stage, all in the end."""
        stages = min(self.stages or num_units, num_units)
        # Rounded boundaries: counts differ by at most one, and add up to all units.
        ends = np.round(np.linspace(0, num_units, stages + 1)).astype(int)
        return np.diff(ends).tolist()


def count_legs(staging, num_units, num_removed):
    """Returns how many units are removed after each stage that has to be played.

    Args:
        staging: A `Staging`.
        num_units: Integer.
        num_removed: Integer, how many units will be removed. Stages that begin with
            as many removed decide nothing.
    """
    removals = staging.removals(num_units)
    before = np.cumsum([0, *removals[:-1]])
    return [
        count
        for count, gone in zip(removals, before, strict=True)
        if gone < max(num_removed, 1)
    ]


def play_stages(source, staging, start_leg, num_removed, on_round=None):
    """Plays the game of one group.

    Args:
        source: The `SampleSource` of the group.
        staging: A `Staging`.
        start_leg: Callable: `(legs left, number of units to find)` -> `Leg`, which
            says when a stage has had samples enough.
        num_removed: Integer, how many units will be removed.
        on_round: Optional callable `fn(number of evaluations)`.

    Returns:
        A `GroupScores`.
    """
    num_units, table = source.num_units, source.table
    active = np.ones(num_units, bool)
    values = np.full(num_units, np.nan)
    errors = np.full(num_units, np.inf)
    stage_of = np.zeros(num_units, int)
    removed, costs, evaluations = [], [], 0
    legs = count_legs(staging, num_units, num_removed)
    for stage, count in enumerate(legs):
        if stage:
            # Samples of earlier stages are of larger coalitions: they say something
            # about this stage's game, but less.
            table.decay(staging.decay)
        to_find = min(count, num_removed - int(np.sum(~active)))
        leg = start_leg(len(legs) - stage, to_find)
        for rows, samples, counted, cost in source.rounds(active, stage):
            table.add(rows, samples, counted)
            evaluations += cost
            if on_round is not None:
                on_round(cost)
            if leg.is_over(cost, table, active):
                break
        # Units that were removed keep the values of the stage they were removed in.
        reduced = reduce_table(table, staging.reduce)
        values[active], errors[active] = (array[active] for array in reduced)
        stage_of[active] = stage
        # After the last stage nothing is removed: its values are the result.
        if stage < len(legs) - 1:
            candidates = np.flatnonzero(active)
            # What has never been sampled is not known to be low.
            known = np.nan_to_num(values[candidates], nan=np.inf)
            gone = candidates[np.argsort(known, kind="stable")[:count]]
            active[gone] = False
            removed.append(gone)
            costs.append(source.costs_in_order(gone))
            source.remove(gone)
    never = np.flatnonzero(active & np.isnan(values))
    values[never] = source.costs_alone(never)
    stage_of[never] += 1  # they come after all that have been sampled
    scores = GroupScores(values, errors, evaluations, stage_of)
    # The order of removal: stage by stage as played, then the rest by its values.
    last = scores.order[len(scores.order) - int(active.sum()) :]
    return dataclasses.replace(
        scores,
        removal_costs=_by_unit([*removed, last], [*costs, source.costs_in_order(last)]),
    )


def _by_unit(removed, costs):
    """Returns an array of costs, or `None` where they are not known.

    Args:
        removed: List of integer arrays, units in the order of their removal.
        costs: List of float arrays of these shapes, or of `None`.
    """
    if any(found is None for found in costs):
        return None
    order = np.concatenate(removed)
    by_unit = np.empty(len(order))
    by_unit[order] = np.concatenate(costs)
    return by_unit
