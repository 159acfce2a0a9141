"""Staged play: units are removed between stages, and the others are valued again."""

import dataclasses
import itertools

import numpy as np

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.reductions import reduce_table
from keras_shapley_prune.rank.shared_samples import SharedSamples


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


def play_stages(source, staging, start_leg, num_removed, on_round=None, entry=None):
    """Plays the game of one group.

    Args:
        source: The `SampleSource` of the group.
        staging: A `Staging`.
        start_leg: Callable: `(legs left, number of units to find)` -> `Leg`, which
            says when a stage has had samples enough.
        num_removed: Integer, how many units will be removed.
        on_round: Optional callable `fn(number of evaluations)`.
        entry: An `Entry` that holds how far the game has been played, or `None`.

    Returns:
        A `GroupScores`.
    """
    entry = entry or Checkpoint().entry("group")
    play, legs = _Play(source), count_legs(staging, source.num_units, num_removed)
    saved = entry.read()
    if saved is not None:
        play.restore(saved)
    for stage in range(play.stage, len(legs)):
        if stage and not play.num_rounds:
            # Samples of earlier stages are of larger coalitions: they say something
            # about this stage's game, but less.
            play.table.decay(staging.decay)
        to_find = min(legs[stage], num_removed - int(np.sum(~play.active)))
        leg = start_leg(len(legs) - stage, to_find)
        if play.num_rounds:
            leg.restore(saved["leg"])
        _play_stage(play, leg, on_round, entry)
        play.samples.settle()
        play.value(reduce_table(play.table, staging.reduce))
        # After the last stage nothing is removed: its values are the result.
        if stage < len(legs) - 1:
            play.remove(legs[stage])
    return play.finish()


def _play_stage(play, leg, on_round, entry):
    """Draws the rounds of a stage that have not been drawn before."""
    rounds = play.source.rounds(play.active, play.stage)
    for draw in itertools.islice(rounds, play.num_rounds, None):
        if play.is_over:
            break
        rows, samples, counted, cost = draw()
        play.samples.add(rows, samples, counted)
        play.num_evaluations += cost
        play.num_rounds += 1
        if on_round is not None:
            on_round(cost)
        if leg.looks or play.source.looks:
            play.samples.settle()
        play.is_over = bool(leg.is_over(cost, play.table, play.active))
        entry.write_if_due(lambda: {**play.content, "leg": leg.state})


class _Play:
    """How far the game of a group has been played.

    Attributes:
        source: The `SampleSource`.
        samples: The `SharedSamples` on their way to its table.
        active: Boolean array, shape `(num_units,)`, the units in play.
        stage: Integer, the stage that is played.
        num_rounds: Integer, its rounds so far.
        is_over: Boolean, whether it has samples enough.
        num_evaluations: Integer, of all stages.
    """

    def __init__(self, source):
        self.source, num_units = source, source.num_units
        self.samples = SharedSamples(source.table, source.is_shared)
        self.active = np.ones(num_units, bool)
        self._values = np.full(num_units, np.nan)
        self._errors = np.full(num_units, np.inf)
        self._stage_of = np.zeros(num_units, int)
        self._removed, self._costs = [], []
        self.stage = self.num_rounds = self.num_evaluations = 0
        self.is_over = False

    @property
    def table(self):
        """The `SampleTable` of the source."""
        return self.source.table

    def value(self, reduced):
        """Takes down the values and errors of the units in play, a tuple of arrays."""
        # Units that were removed keep the values of the stage they were removed in.
        active = self.active
        self._values[active], self._errors[active] = (a[active] for a in reduced)
        self._stage_of[active] = self.stage

    def remove(self, count):
        """Removes the lowest units for good, and begins the next stage."""
        candidates = np.flatnonzero(self.active)
        # What has never been sampled is not known to be low.
        known = np.nan_to_num(self._values[candidates], nan=np.inf)
        gone = candidates[np.argsort(known, kind="stable")[:count]]
        self.active[gone] = False
        self._removed.append(gone)
        self._costs.append(self.source.costs_in_order(gone))
        self.source.remove(gone)
        self.stage, self.num_rounds, self.is_over = self.stage + 1, 0, False

    def finish(self):
        """Returns the `GroupScores`."""
        never = np.flatnonzero(self.active & np.isnan(self._values))
        self._values[never] = self.source.costs_alone(never)
        self._stage_of[never] += 1  # they come after all that have been sampled
        scores = GroupScores(
            self._values, self._errors, self.num_evaluations, self._stage_of
        )
        # The order of removal: stage by stage as played, then the rest by its values.
        last = scores.order[len(scores.order) - int(self.active.sum()) :]
        costs = [*self._costs, self.source.costs_in_order(last)]
        by_unit = _by_unit([*self._removed, last], costs)
        return dataclasses.replace(scores, removal_costs=by_unit)

    @property
    def content(self):
        """Dict, what `restore` takes, see `Entry.write`."""
        self.samples.settle()
        return {
            "sum": self.table.sum,
            "count": self.table.count,
            "active": self.active,
            "values": self._values,
            "errors": self._errors,
            "stage_of": self._stage_of,
            "removed": np.array([u for gone in self._removed for u in gone], int),
            "sizes": [len(gone) for gone in self._removed],
            "stage": self.stage,
            "num_rounds": self.num_rounds,
            "num_evaluations": self.num_evaluations,
            "is_over": self.is_over,
        }

    def restore(self, content):
        """Goes on from what another process had played, a dict."""
        # The game of the source is that of the units which are still in play.
        for gone in np.split(content["removed"], np.cumsum(content["sizes"][:-1])):
            if len(gone):
                self._removed.append(gone)
                self._costs.append(self.source.costs_in_order(gone))
                self.source.remove(gone)
        self.table.sum[:], self.table.count[:] = content["sum"], content["count"]
        self.active[:], self._values[:] = content["active"], content["values"]
        self._errors[:], self._stage_of[:] = content["errors"], content["stage_of"]
        self.stage, self.num_rounds = content["stage"], content["num_rounds"]
        self.num_evaluations = content["num_evaluations"]
        self.is_over = content["is_over"]


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
