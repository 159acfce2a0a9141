"""Samples of reconstruction games: walks in closed form."""

import dataclasses
import math

import numpy as np

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import INSIDE, kept
from keras_shapley_prune.rank.closed_form.game import ReconstructionGame
from keras_shapley_prune.rank.group_loop import rank_groups
from keras_shapley_prune.rank.ranking_plan import GroupCost, RankingPlan
from keras_shapley_prune.rank.staging import Staging, count_legs
from keras_shapley_prune.rank.table import SampleTable
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.taken_rows import ROWS_A_COLUMN
from keras_shapley_prune.trace.batches import rebatch

MAX_COLUMNS = 2400  # of a layer whose taps are told apart
_FLOPS_A_SECOND = 2e10


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """How the reconstruction games of a model's groups are played.

    The worth of a coalition is minus the error with which the layers that read the
    group can be refitted to what they return in the original: the share of each
    layer's variance, summed over the layers.

    Attributes:
        num_draws: Integer, how many antithetic pairs of walks a stage.
        staging: A `Staging`.
        candidates: Float, or `None`. Of the units in play only those that are cheapest
            to lose alone are removed by walks: as many times the units that have to
            leave yet. The others always stay in.
        horizon: Float in (0, 1], at most this share of a group has to leave yet, for
            that purpose.
        sequential: Boolean, whether the lowest units of a group are removed and
            repaired before the next group is played.
        ridge: Float, see `solve_towards`.
        greedy: Boolean. If so, units are not valued by walks but by what the loss of
            each alone costs.
        limits: Dict, the arguments of `Budget`.
        seed: Integer.
    """

    num_draws: int
    staging: Staging
    candidates: float | None
    ridge: float
    horizon: float = 1.0
    sequential: bool = False
    greedy: bool = False
    limits: dict = dataclasses.field(default_factory=dict)
    seed: int = 0

    def rank(self, calibration, verbose):
        """Returns the `Ranking`.

        Args:
            calibration: A `Calibration`.
            verbose: See `Progress`.
        """
        network = self._open_network(calibration)

        def open_source(index, group):
            games = find_games(network, group, self.ridge)
            count = calibration.num_removed[group.name]
            return WalkSource(self, index, group.num_units, count, games)

        costs = self._costs(calibration)
        scores = rank_groups(calibration, network, open_source, costs, self, verbose)
        return calibration.make_ranking(scores, self._describe())

    def _open_network(self, calibration):
        """Returns what is played on: without repair, moments of the original do."""
        channel_map, groups = calibration.channel_map, calibration.groups
        batches = [inputs for inputs, _, _ in calibration.batches]
        batches = rebatch(batches, channel_map.graph)
        if self.sequential:
            return Repairer(calibration.model, channel_map, batches)
        return InputMoments(channel_map, groups, batches, MAX_COLUMNS)

    def plan(self, calibration):
        """Returns the `RankingPlan`."""
        num_examples = sum(calibration.batch_sizes)
        return RankingPlan(
            self._describe(), num_examples, tuple(self._costs(calibration))
        )

    def num_candidates(self, num_active, still_to_go, leaving, num_units):
        """Returns how many of the units in play a walk removes."""
        if self.candidates is None:
            return num_active
        still_to_go = min(still_to_go, math.ceil(self.horizon * num_units))
        wanted = math.ceil(self.candidates * max(still_to_go, 1))
        at_least = min(leaving, max(still_to_go, 1)) + 1
        return min(max(wanted, at_least), num_active)

    def _describe(self):
        stages = self.staging.stages or "as many stages as units"
        stages = f"{stages} stage(s)" if self.staging.stages else stages
        if self.greedy:
            return "reconstruction error (optimal brain surgeon), greedy"
        return f"Shapley values of the reconstruction game, {stages}"

    def _costs(self, calibration):
        costs = []
        graph = calibration.channel_map.graph
        num_examples = sum(calibration.batch_sizes)
        for group in calibration.groups:
            num_removed = calibration.num_removed[group.name]
            flops, sizes, gone = 0, [], 0
            for count in count_legs(self.staging, group.num_units, num_removed):
                active = group.num_units - gone
                to_go, size = num_removed - gone, group.num_units
                sizes.append(self.num_candidates(active, to_go, count, size))
                gone += count
            evaluations = 2 * self.num_draws * sum(sizes)
            for (index, _), ids in calibration.channel_map.ends_of(group).items():
                rows, columns = _count_rows(graph.calls[index])
                rows = min(rows * num_examples, ROWS_A_COLUMN * columns)
                flops += 2 * rows * columns**2 + 3 * columns**3
                walks = [(columns * size / len(ids)) ** 3 for size in sizes]
                flops += 2 * self.num_draws * sum(walks)
            costs.append(
                GroupCost(
                    group.name,
                    group.num_units,
                    evaluations,
                    int(flops),
                    flops / _FLOPS_A_SECOND + 0.1,
                )
            )
        return costs


class WalkSource:
    """Samples of the games of a group, added up. See `play_stages`.

    Args:
        settings: A `Reconstruction`.
        index: Integer, the place of the group among the groups.
        num_units: Integer.
        num_removed: Integer, how many units will leave.
        games: List of `ReconstructionGame`.
    """

    def __init__(self, settings, index, num_units, num_removed, games):
        self._settings, self._index, self._games = settings, index, games
        self.num_units, self._num_removed = num_units, num_removed
        rows = settings.num_draws * len(settings.staging.leaving(num_units))
        self.table = SampleTable(rows, num_units)

    def rounds(self, active, stage):
        """Yields `(rows, samples, counted, number of evaluations)` of walks."""
        settings = self._settings
        players = np.flatnonzero(active)
        still_to_go = self._num_removed - (self.num_units - len(players))
        leaving = settings.staging.leaving(self.num_units)[stage]
        size = settings.num_candidates(
            len(players), still_to_go, leaving, self.num_units
        )
        if size < len(players):
            alone = sum(game.leave_one_out(players) for game in self._games)
            players = players[np.argsort(alone, kind="stable")[:size]]
            others = np.setdiff1d(np.arange(self.num_units), players)
            self.table.forget(others)  # they stay in, whatever they once seemed worth
        if settings.greedy:
            samples = np.zeros((1, self.num_units))
            samples[0, players] = sum(g.leave_one_out(players) for g in self._games)
            yield np.array([0]), samples, active[np.newaxis], len(players)
            return
        for draw in range(settings.num_draws):
            key = [settings.seed, self._index, stage, draw]
            order = np.random.default_rng(key).permutation(players)
            samples = np.zeros((2, self.num_units))
            counted = np.zeros(samples.shape, bool)
            for walk, removed in enumerate((order, order[::-1])):
                samples[walk, removed] = sum(g.walk(removed) for g in self._games)
                counted[walk, removed] = True
            row = stage * settings.num_draws + draw  # one for both of a pair
            yield np.array([row, row]), samples, counted, 2 * size

    def cost_alone(self, units):
        """Returns the saliency of units that were no candidates."""
        return sum(game.leave_one_out(units) for game in self._games)

    def leave(self, units):
        """Removes units for good."""
        for game in self._games:
            game.leave(units)

    def costs_in_order(self, units):
        """Returns what each unit costs as they leave one after the other."""
        return sum(game.walk(units) for game in self._games)


def find_games(network, group, ridge):
    """Returns the reconstruction games of the layers that read a group.

    One a layer; one for each of the groups of a convolution.

    Where a layer of another kind reads it, what it reads is reconstructed instead.

    Args:
        network: A `Repairer` that has not passed the group yet, or `InputMoments`.
        group: A `ChannelGroup`.
        ridge: Float, see `solve_towards`.

    Returns:
        List of `ReconstructionGame`.
    """
    channel_map, games, seen = network.channel_map, [], set()
    for (index, position), ids in channel_map.ends_of(group).items():
        call = channel_map.graph.calls[index]
        if position != INSIDE:  # an attention may read one tensor three times over
            if (call, call.inputs[position]) in seen:
                continue
            seen.add((call, call.inputs[position]))
        reader, (xx, xy, yy) = network.collect(call, position, MAX_COLUMNS)
        ids_of = ids[reader.channel_of]
        unit_of = np.searchsorted(group.units, ids_of)
        unit_of[~np.isin(ids_of, group.units)] = -1
        left = kept(network.keep, ids_of)
        scale = 1 / np.sqrt(max(yy.sum(), np.finfo(float).tiny))
        for columns, outputs in reader.blocks:
            columns = columns[left[columns]]
            if not (unit_of[columns] >= 0).any():
                continue
            games.append(
                ReconstructionGame(
                    xx[np.ix_(columns, columns)],
                    xy[np.ix_(columns, outputs)],
                    reader.weights[np.ix_(columns, outputs)],
                    unit_of[columns],
                    group.num_units,
                    ridge,
                    scale,
                )
            )
    return games


def _count_rows(call):
    """Returns the positions and the columns of what a layer reads, about."""
    form = find_linear_form(call.operation)
    positions = int(np.prod([n or 1 for n in call.outputs[0].shape[1:-1]]))
    columns = call.inputs[0].shape[-1] if form is None else len(form.channel_of)
    return positions, min(columns, MAX_COLUMNS)
