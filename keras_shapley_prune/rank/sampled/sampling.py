"""Rankings by samples of the groups' games: what they cost, and their play."""

import dataclasses

import numpy as np

from keras_shapley_prune.rank.group_loop import rank_groups
from keras_shapley_prune.rank.ranking_plan import RankingPlan, cost_of, profile_calls
from keras_shapley_prune.rank.sampled.game import Game, repeat_batch
from keras_shapley_prune.rank.sampled.incremental import plan_incremental
from keras_shapley_prune.rank.sampled.replacement import mean_shifts
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.staging import Staging


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the games of a model's groups are played.

    Attributes:
        value: A value function, see `resolve_value`.
        estimator: An estimator, see `estimators.py`.
        staging: A `Staging`.
        replacement: `"zero"` or `"mean"`: what is read of a removed unit.
        sequential: Boolean, whether the lowest units of a group are removed and
            repaired before the next group is played.
        limits: Dict, the arguments of `Budget`.
        fold_size: Integer, see `Game`.
        seed: Integer.
    """

    value: object
    estimator: object
    staging: Staging = dataclasses.field(default_factory=Staging)
    replacement: str = "zero"
    sequential: bool = False
    limits: dict = dataclasses.field(default_factory=dict)
    fold_size: int = 32
    seed: int = 0

    def rank(self, calibration, verbose):
        """Returns the `Ranking`.

        Args:
            calibration: A `Calibration`.
            verbose: See `Progress`.
        """
        seconds = self._profile(calibration)
        network, channel_map = calibration.open_network(self.sequential)

        def open_source(index, group):
            keep = network.keep if self.sequential else None
            shifts = None
            if self.replacement == "mean":
                shifts = mean_shifts(network, channel_map, group)
            suffix = Suffix(channel_map, group, keep, shifts)
            walk = plan_incremental(suffix)
            game = Game(index, suffix, self.value, self.estimator, self.fold_size, walk)
            return GameSource(game, network, calibration, self.estimator, self.seed)

        costs = self._costs(calibration, seconds)
        scores = rank_groups(calibration, network, open_source, costs, self, verbose)
        return calibration.make_ranking(scores, self.estimator.describe())

    def plan(self, calibration):
        """Returns the `RankingPlan`."""
        costs = self._costs(calibration, self._profile(calibration))
        num_examples = sum(calibration.batch_sizes)
        return RankingPlan(self.estimator.describe(), num_examples, tuple(costs))

    def _profile(self, calibration):
        inputs, _, _ = calibration.batches[0]
        return profile_calls(calibration.channel_map.graph, inputs)

    def _costs(self, calibration, seconds):
        num_examples = sum(calibration.batch_sizes)
        return [
            cost_of(
                Suffix(calibration.channel_map, group),
                self.estimator,
                self.staging,
                calibration.num_removed[group.name],
                num_examples,
                seconds,
            )
            for group in calibration.groups
        ]


class GameSource:
    """Samples of a group's game, played on batches of data. See `play_stages`.

    Args:
        game: The `Game`.
        network: The `ForwardPass` or `Repairer`, at the start of the game's suffix.
        calibration: The `Calibration`.
        estimator: The estimator.
        seed: Integer.
    """

    def __init__(self, game, network, calibration, estimator, seed):
        self._game, self._network, self._seed = game, network, seed
        self._calibration, self._estimator = calibration, estimator
        self.num_units = game.suffix.num_units
        self.table = estimator.new_table(calibration.batch_sizes, self.num_units)

    def rounds(self, active, stage):
        """Yields `(rows, samples, counted, number of evaluations)`."""
        game, estimator = self._game, self._estimator
        copies = game.free_walks
        for draw in range(estimator.num_draws):
            first = 0
            for batch, (inputs, labels, weights) in enumerate(
                self._calibration.batches
            ):
                size = int(inputs[0].shape[0])
                key = [self._seed, game.index, stage, draw, batch]
                drawn = estimator.draw(key, copies * size, active)
                values = self._network.values(batch)
                cut = game.suffix.cut_values(values, self._network.find_masks)
                data = cut, labels, weights, self._reference(batch)
                samples = game.estimate(drawn, *repeat_batch(data, copies))
                counted = estimator.counted(drawn)
                self._check_finite(samples[counted], batch)
                rows = np.tile(estimator.rows(first, size, draw), copies)
                cost = size * estimator.num_evaluations(int(active.sum()))
                yield rows, samples, counted, cost
                first += size

    def leave(self, units):
        """The game remembers nothing of who has left."""

    def cost_alone(self, units):
        """Every unit is sampled, unless there were too few draws: it is not known."""
        return np.full(len(units), np.nan)

    def costs_in_order(self, units):
        """They would have to be evaluated."""
        return

    def _reference(self, batch):
        needed = self._game.needs_reference
        return self._calibration.outputs(batch) if needed else ()

    def _check_finite(self, samples, batch):
        if not np.isfinite(samples).all():
            name = self._game.suffix.group.name
            raise ValueError(
                "Expected a finite loss for every example and coalition. Received: a "
                f"loss that is not finite, in group {name!r}, batch {batch} "
                "(counted from 0)"
            )
