"""The rankings that pruning is usually done by, for comparison and for speed."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.checkpoint.checkpoint import check_checkpoint
from keras_shapley_prune.devices.workers import check_strategy
from keras_shapley_prune.inputs.arguments import (
    check_choice,
    check_integer,
    check_verbose,
)
from keras_shapley_prune.inputs.progress import show_progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.rank.calibration import Calibration, check_share_to_rank
from keras_shapley_prune.rank.estimators.activation_scores import (
    BASELINES,
    LeaveOneOutEstimator,
)
from keras_shapley_prune.rank.estimators.closed_form import ClosedFormLeaveOneOut
from keras_shapley_prune.rank.games.outputs import Custom, OutputGame
from keras_shapley_prune.rank.games.reconstruction import Reconstruction
from keras_shapley_prune.rank.games.resolve_game import resolve_game
from keras_shapley_prune.rank.group_loop import rank_groups
from keras_shapley_prune.rank.group_scores import GroupScores, unread_scores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.reductions import resolve_reduction
from keras_shapley_prune.rank.settings import Settings
from keras_shapley_prune.rank.sources import stream_of
from keras_shapley_prune.rank.staging import Staging
from keras_shapley_prune.rank.weight_scores import WEIGHT_SCORES
from keras_shapley_prune.trace.finite_weights import check_weights
from keras_shapley_prune.trace.tracer import map_of

BASELINE_NAMES = (*WEIGHT_SCORES, *BASELINES, "greedy_backward", "reconstruction")


class BaselineRanker(Settings):
    """Ranks units by one of the usual criteria, with the interface of ShapleyRanker.

    On a coupled group (a residual stage, say) the criteria of the weights are
    averaged over the layers that produce the units, those of the activations over the
    layers that read them.

    Args:
        criterion: String. From the weights, without data: `"random"`, `"l1_norm"`,
            `"l2_norm"`, `"bn_gamma"`, `"geometric_median"` (FPGM). From the
            activations: `"mean_activation"`, `"apoz"` (share of positive
            activations). From gradients: `"sensitivity"` (absolute gradient of the
            loss by the activation), `"taylor"` (absolute), `"taylor_signed"`,
            `"taylor_squared"`. From the loss itself: `"leave_one_out"`, and
            `"greedy_backward"`, which repeats it after each removed unit, at n/2 times
            the cost. From the layers that read the units, without labels:
            `"reconstruction"`, the error of the refitted layers as one unit after the
            other is removed (optimal brain surgeon, for whole channels; summed over
            the layers, each by its variance).
        game: What the criteria of gradients and loss look at: `"loss"`, `"kl"`, a
            callable, or an object such as `games.Loss("mse")`, as in `ShapleyRanker`.
            The other criteria do not read it: they need no loss and no labels.
        batch_size: Integer, the size of a batch where the data comes as arrays.
        seed: Integer, for `"random"`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(model, dataset)
    ```
    """

    def __init__(self, criterion, game="loss", batch_size=32, seed=0):
        check_choice("criterion", criterion, BASELINE_NAMES)
        self.criterion, self.game = criterion, resolve_game(game)
        if not isinstance(self.game, OutputGame):
            raise ValueError(
                "Argument `game` should be 'loss', 'kl', an object such as "
                f"games.Loss() or games.KL(), or a callable. Received: game={game!r}"
            )
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        self.batch_size, self.seed = batch_size, seed

    @undisturbed
    def rank(
        self,
        model,
        dataset=None,
        layers=None,
        channel_map=None,
        ratio=0.5,
        verbose="auto",
        progress=None,
        checkpoint=None,
    ):
        """Scores every group of a model.

        Args:
            model: A built Sequential or functional `keras.Model`. It is not changed.
            dataset: As in `ShapleyRanker.rank`. The criteria of the weights do not
                read it.
            layers: As in `ShapleyRanker.rank`.
            channel_map: The `ChannelMap` of `model`, if it has been traced already.
            ratio: As in `ShapleyRanker.rank`.
            verbose: As in `ShapleyRanker.rank`.
            progress: As in `ShapleyRanker.rank`.
            checkpoint: As in `ShapleyRanker.rank`. The criteria of the weights keep
                nothing: they take no time.

        Returns:
            A `Ranking`. Standard errors of the criteria of the weights are 0.

        Raises:
            ValueError: If the model or the data does not fit, or data, weights or
                scores are not finite.
        """
        check_verbose(verbose)
        check_checkpoint(checkpoint)
        check_strategy()
        if self.criterion in WEIGHT_SCORES:
            check_share_to_rank(ratio)
            return self._rank_weights(map_of(model, channel_map), layers)
        sampler = self._open_sampler(model)
        calibration = Calibration(
            model,
            dataset,
            layers,
            channel_map,
            ratio,
            self.batch_size,
            sampler.needs_labels,
            plays_blocks=sampler.plays_blocks,
        )
        if calibration.blocks is not None or (
            any(group.kind != "channels" for group in calibration.groups)
            and self.criterion in ("apoz", "mean_activation")
        ):
            raise _no_blocks(self.criterion)
        sampler.check(calibration)
        kept = calibration.open_checkpoint(checkpoint, self)
        with show_progress(progress, verbose) as shown, kept.explain_interruption():
            ranking = rank_groups(sampler, calibration, shown, checkpoint=kept)
        # Statistics of activations alone do not say what a unit does to the outputs.
        ranking.comparable = self.criterion not in ("apoz", "mean_activation")
        ranking.costs = "readers" if self.criterion == "reconstruction" else None
        return ranking

    def _open_sampler(self, model):
        """Returns the `Sampler` of a criterion that reads data."""
        game, estimator = self.game, BASELINES.get(self.criterion, LeaveOneOutEstimator)
        if self.criterion == "reconstruction":
            game, estimator = Reconstruction(candidates=None), ClosedFormLeaveOneOut
        estimator = estimator()
        if not estimator.reads_value:
            game = Custom(_nothing)  # which needs neither a loss nor labels
        greedy = self.criterion in ("greedy_backward", "reconstruction")
        staging = Staging(
            stages=None if greedy else 1,
            decay=0.0,  # what was measured with more units is out of date
            reduce=resolve_reduction(game.reduction),
        )
        return game.open_sampler(
            model, estimator, staging, False, self.batch_size, seed=0
        )

    def _rank_weights(self, channel_map, layers):
        score = WEIGHT_SCORES[self.criterion]
        if self.criterion != "random":  # which reads no weights
            check_weights(channel_map)
        groups = {}
        for group in channel_map.select_groups(layers):
            if group.kind != "channels" and self.criterion != "random":
                raise _no_blocks(self.criterion)
            if not channel_map.is_read(group):  # whatever its weights are
                groups[group.name] = unread_scores(group)
                continue
            generator = np.random.default_rng([self.seed, stream_of(group)])
            values = score(channel_map, group, generator)
            if not np.isfinite(values).all():  # large weights overflow when squared
                raise ValueError(
                    "Expected finite scores of the weights. Received: scores that are "
                    f"not, by criterion={self.criterion!r}, of group {group.name!r}"
                )
            groups[group.name] = GroupScores(values, np.zeros(len(values)), 0)
        locks = channel_map.lock_reasons()
        return Ranking(groups, self.criterion, 0, locks, comparable=False)


def _no_blocks(criterion):
    """Returns the error of a criterion that says nothing of whole blocks."""
    return ValueError(
        "Argument `criterion` should be one that scores whole blocks, such as 'taylor' "
        "or 'leave_one_out', or the ranker a `ShapleyRanker`. Received: "
        f"criterion={criterion!r}, which scores filters, and a model whose units are "
        "blocks"
    )


def _nothing(labels, outputs):
    """Returns the same worth for any outputs, one an example."""
    first = outputs[0] if isinstance(outputs, list) else outputs
    return tf.zeros(tf.shape(first)[:1])
