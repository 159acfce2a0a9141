"""How the games on the outputs are opened, group by group, and what they cost."""

import dataclasses

from keras_shapley_prune.rank.estimators.adaptive import Adaptive
from keras_shapley_prune.rank.estimators.corrected import SHARE
from keras_shapley_prune.rank.machine_speed import time_tracing
from keras_shapley_prune.rank.ranking_cost import cost_of, profile_calls, time_passes
from keras_shapley_prune.rank.sampled.adaptive import AdaptiveSource
from keras_shapley_prune.rank.sampled.contributions import Contributions
from keras_shapley_prune.rank.sampled.corrected_source import CorrectedSource
from keras_shapley_prune.rank.sampled.game import OutputGame
from keras_shapley_prune.rank.sampled.incremental import find_readers, plan_incremental
from keras_shapley_prune.rank.sampled.replacement import mean_shifts
from keras_shapley_prune.rank.sampled.source import OutputSource, rows_of_batches
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.sources import Sampler, stream_of

STEP = round(1 / SHARE)  # every so many examples one has a sample of the bias


class OutputSampler(Sampler):
    """Opens the games of a model's groups on the network's outputs.

    Args:
        value: The `Value` of the outputs.
        estimator: An `OutputEstimator`.
        replacement: `"zero"` or `"mean"`: what is read of a removed unit.
        fold_size: Integer, see `OutputGame`.
        **arguments: Those of `Sampler`.
    """

    def __init__(self, value, estimator, replacement, fold_size, **arguments):
        super().__init__(**arguments)
        self._value, self._estimator = value, estimator
        self._replacement, self._fold_size = replacement, fold_size
        self.needs_labels = value.needs_labels

    def check(self, calibration):
        outputs = calibration.channel_map.graph.outputs
        for _, labels, _ in calibration.batches if self.needs_labels else ():
            self._value.check_labels(labels, outputs)

    def open_network(self, calibration, checkpoint=None, on_share=None):
        # A forward pass is enough if nothing is removed, and costs far less.
        network = calibration.open_network(self.sequential, checkpoint)
        # To measure means, it is run up to every reader of a group.
        network.cut_at(calibration.sites(every=self._replacement == "mean"))
        return network

    def open_source(self, calibration, network, group):
        channel_map, keep, shifts = calibration.channel_map, None, None
        if self.sequential:  # the network is a repaired copy, with a graph of its own
            channel_map, keep = network.channel_map, network.keep
        if self._replacement == "mean":
            shifts = mean_shifts(network, channel_map, group)
        suffix = Suffix(channel_map, group, keep, shifts)
        walk = plan_incremental(suffix)

        def open_with(estimator, step=1, draws_all=self.draws_all):
            game = OutputGame(suffix, self._value, estimator, self._fold_size, walk)
            key = [self.seed, stream_of(group)]
            readers = []
            if estimator.controls and game.free_walks == 1:  # free ones need no help
                readers = list(find_readers(suffix))
            contributions = Contributions(suffix, readers) if readers else None
            return OutputSource(
                game,
                network,
                calibration,
                estimator,
                key,
                step,
                contributions,
                draws_all,
            )

        estimator = self._estimator.for_group(walk)
        if isinstance(estimator, Adaptive):
            # Some of the examples walk, but it is not known beforehand how many.
            parts = [
                open_with(part, draws_all=False)
                for part in estimator.parts(group.num_units)
            ]
            num_removed = calibration.num_removed[group.name]
            sizes = calibration.batch_sizes
            return AdaptiveSource(estimator, *parts, sizes, num_removed)
        source, correction = open_with(estimator), estimator.correction
        if correction is None:
            return source
        return CorrectedSource(source, open_with(correction, STEP))

    def estimate_costs(self, calibration):
        channel_map = calibration.channel_map
        inputs, _, _ = calibration.batches[0]
        # Of the original network: sequential play, which makes it smaller, takes less.
        seconds = profile_calls(channel_map.graph, inputs)
        tracing = time_tracing(channel_map.graph, inputs)
        draws = []
        if self._estimator.correction is not None:
            chosen = rows_of_batches(calibration.batch_sizes, STEP)
            draws.append((self._estimator.correction, sum(map(len, chosen))))
        passes, costs = time_passes(calibration, seconds, tracing), []
        for group, spent in zip(calibration.groups, passes, strict=True):
            suffix, count = Suffix(channel_map, group), calibration.num_removed
            walk = plan_incremental(suffix)
            estimator = self._estimator.for_group(walk)
            cost = cost_of(
                suffix,
                [(estimator, sum(calibration.batch_sizes)), *draws],
                self.staging,
                count[group.name],
                seconds,
                tracing,
                walk,
            )
            costs.append(dataclasses.replace(cost, seconds=cost.seconds + spent))
        return costs
