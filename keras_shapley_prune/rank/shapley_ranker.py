"""Shapley values of filters: the ranker that people use."""

import dataclasses
import warnings

from keras_shapley_prune.checkpoint.checkpoint import check_checkpoint
from keras_shapley_prune.devices.workers import check_strategy
from keras_shapley_prune.inputs.arguments import (
    check_boolean,
    check_integer,
    check_verbose,
)
from keras_shapley_prune.inputs.progress import show_progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.rank.blocks.block_ranking import BlockRanking, add_blocks
from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.games.resolve_game import resolve_game
from keras_shapley_prune.rank.group_loop import plan_groups, rank_groups
from keras_shapley_prune.rank.reductions import resolve_reduction
from keras_shapley_prune.rank.settings import Settings
from keras_shapley_prune.rank.staging import Staging
from keras_shapley_prune.rank.stopping import StopWhen


class ShapleyRanker(Settings):
    """Estimates the Shapley value of each unit, one group at a time.

    The players are the units of a group (the filters of a layer, or of all layers
    that are tied to it). A unit's Shapley value is the mean of what it adds to the
    worth of a coalition, over all orders in which the units could join. The values of
    a group sum to the worth of all minus the worth of none ("efficiency"), and a unit
    that nothing depends on gets 0 ("null player"). See "Shapley Value as Principled
    Metric for Structured Network Pruning" (Ancona, Öztireli, Gross, arXiv:2006.01795,
    section 3.2).

    Three things make a ranker: the game says what a coalition is worth, the estimator
    how the values are found, and the stopping rule when they are good enough. With its
    defaults it is the ranker of `prune`.

    Args:
        game: What a coalition is worth: an object of `keras_shapley_prune.games`, or
            the short form of one with its defaults: `"reconstruction"`, `"loss"` (the
            paper's) or `"kl"`. A callable `fn(labels, outputs)` that returns one value
            for each example is a `games.Custom`.
        estimator: How the values are estimated: an object of
            `keras_shapley_prune.estimators` that the game takes, or its short form.
            `"permutation"` for every game; for those on outputs also `"gradient"`,
            `"corrected_gradient"`, `"adaptive"`, `"exact"` and `"shared_permutation"`.
            `None` for `"permutation"`.
        stages: Integer c, or `"units"` for as many as a group has units. After each
            stage the lowest 1/c of the units are removed for good, and the remaining
            units are valued again without them. If two units do the same work, one of
            them is kept. `None` for the game's own number: 32 for the reconstruction
            game, 1 for the games on outputs.
        sequential: Boolean. If so, groups are ranked from the input to the output,
            each on a network from which the lowest units of the earlier groups have
            been removed, and which has been repaired (`repair_channels`). Otherwise
            each group is ranked on the original network.
        stop: A `StopWhen`, or `None` to draw all that the estimator is set to.
        batch_size: Integer, the size of a batch where the data comes as arrays.
            Smaller batches are evaluated on several coalitions at once, up to this
            many examples. Some estimators of games on outputs draw batch by batch: in
            batches of another size, the values are other draws of the same estimate,
            within their standard errors. Those of the reconstruction game are the same.
        seed: Integer. The same seed, and data in the same batches, give the same
            values.

    Raises:
        ValueError: If an argument is not of that form, or the estimator does not go
            with the game or the stages.

    Example:

    ```python
    ranker = keras_shapley_prune.ShapleyRanker("loss", seed=1)
    print(ranker.estimate_cost(model, (images, labels)))
    ranking = ranker.rank(model, (images, labels))
    print(ranking)
    ```
    """

    def __init__(
        self,
        game="reconstruction",
        estimator=None,
        *,
        stages=None,
        sequential=False,
        stop=None,
        batch_size=32,
        seed=0,
    ):
        self.game = resolve_game(game)
        self.estimator = self.game.resolve_estimator(estimator)
        self.stages = self.game.default_stages if stages is None else stages
        if not isinstance(self.stages, str):
            check_integer("stages", self.stages, 1)
        elif self.stages != "units":
            raise ValueError(
                "Argument `stages` should be an integer, 'units' or None. "
                f"Received: stages={stages!r}"
            )
        self.estimator.check(self.game, self.stages)
        check_boolean("sequential", sequential)
        if stop is not None and not isinstance(stop, StopWhen):
            raise ValueError(
                f"Argument `stop` should be a StopWhen or None. Received: stop={stop!r}"
            )
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        self.sequential, self.stop = sequential, stop
        self.batch_size, self.seed = batch_size, seed

    @undisturbed
    def rank(
        self,
        model,
        dataset,
        layers=None,
        channel_map=None,
        ratio=0.5,
        verbose="auto",
        targets=None,
        progress=None,
        checkpoint=None,
    ):
        """Estimates the values of every group of a model.

        In the scope of a `tf.distribute` strategy its devices and processes share out
        the examples; the values are those of one device.

        Args:
            model: A built Sequential or functional `keras.Model`. It is not changed.
            dataset: What `model.evaluate` takes: a finite, batched
                `tf.data.Dataset`, a `keras.utils.PyDataset`, arrays `(x, y)` or
                `(x, y, sample_weight)`, or an iterable of batches. It is read once.
                If the game needs no labels, batches of `x` alone are enough.
            layers: `None` for all groups, or layer names, shell-style patterns,
                compiled regular expressions or functions of a layer, see `prune`: only
                the groups that one of these layers produces.
            channel_map: The `ChannelMap` of `model`, if it has been traced already.
            ratio: Float in [0, 1), the share of each group that is to be removed, or
                a dict: group name -> float. It says where staged play and
                `StopWhen(misassigned=...)` may stop, and how much is removed in
                sequential play before the next group is ranked. Groups that a dict
                does not name lose nothing.
            verbose: `"auto"` or 1 for a progress bar that names the group at work, 2
                for one line a group, 0 for silence.
            targets: A `RecordedTargets` of `prune`, or `None`. Where the game runs
                the original network alone, it takes down what repair will ask of it.
            progress: The `Progress` of `prune`, which then counts in place of
                `verbose`, or `None`.
            checkpoint: String or path-like, a folder that keeps what has been ranked,
                or `None`. It need not exist. After the process was killed, the same
                call goes on from there, and its values are the same to the last bit.
                See `prune`.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If the model has no graph or nothing that can be removed, if
                there is no loss, if the data is empty or does not fit the model, if
                data, weights that carry units, or the loss are not finite, if a
                sample weight is negative or all are 0, or if `channel_map` is that
                of another model, or the checkpoint of another run.
        """
        check_verbose(verbose)
        check_checkpoint(checkpoint)
        check_strategy()
        sampler, calibration = self._open(
            model, dataset, layers, channel_map, ratio, targets
        )
        kept = calibration.open_checkpoint(checkpoint, self)
        with show_progress(progress, verbose) as shown, kept.explain_interruption():
            ranking = rank_groups(sampler, calibration, shown, self.stop, kept)
            if calibration.blocks is not None:
                ranking = add_blocks(sampler, calibration, ranking, shown, kept)
        ranking.costs = getattr(self.game, "costs", None)
        return ranking

    @undisturbed
    def estimate_cost(self, model, dataset, layers=None, channel_map=None, ratio=0.5):
        """Estimates what `rank` would cost, before anything is ranked.

        Args:
            model: As in `rank`.
            dataset: As in `rank`.
            layers: As in `rank`.
            channel_map: As in `rank`.
            ratio: As in `rank`.

        Returns:
            A `RankingCost`: evaluations, FLOPs and an estimate of the seconds of each
            group; `print` shows a table. Stopping early is not foreseen.
        """
        opened = self._open(model, dataset, layers, channel_map, ratio)
        plan, (sampler, calibration) = plan_groups(*opened), opened
        if calibration.blocks is None:
            return plan
        cost = BlockRanking(calibration, self.seed, sampler.costs_of_outputs)
        return dataclasses.replace(plan, groups=(*plan.groups, cost.estimate_cost()))

    def plan(self, model, dataset, **options):
        """Does what `estimate_cost` does, and warns that this is its name now.

        Args:
            model: As in `estimate_cost`.
            dataset: As in `estimate_cost`.
            **options: As in `estimate_cost`.

        Returns:
            A `RankingCost`.
        """
        warnings.warn(
            "`ShapleyRanker.plan` is now named `estimate_cost`. The old name will be "
            "removed in the release after this one",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.estimate_cost(model, dataset, **options)

    def _open(self, model, dataset, layers, channel_map, ratio, targets=None):
        """Returns the `Sampler` and the `Calibration`."""
        stages = None if self.stages == "units" else self.stages
        reduce = resolve_reduction(self.game.reduction)
        staging = Staging(stages, self.estimator.decay, reduce)
        # The sampler first: that a loss is missing is found before the data is read.
        sampler = self.game.open_sampler(
            model, self.estimator, staging, self.sequential, self.batch_size, self.seed
        )
        sampler.draws_all = self.stop is None
        calibration = Calibration(
            model,
            dataset,
            layers,
            channel_map,
            ratio,
            self.batch_size,
            sampler.needs_labels,
            targets,
            sampler.plays_blocks,
        )
        sampler.check(calibration)
        return sampler, calibration
