"""Shapley values of filters: the ranker that people use."""

from keras_shapley_prune.inputs.arguments import (
    check_at_least,
    check_choice,
    check_combination,
    check_integer,
    check_share,
)
from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.closed_form.source import Reconstruction
from keras_shapley_prune.rank.progress import check_verbose
from keras_shapley_prune.rank.reductions import resolve_reduction
from keras_shapley_prune.rank.sampled.corrected import BiasEstimator, CorrectedGradient
from keras_shapley_prune.rank.sampled.estimators import ESTIMATORS
from keras_shapley_prune.rank.sampled.sampling import Sampling
from keras_shapley_prune.rank.sampled.values import resolve_value
from keras_shapley_prune.rank.staging import Staging
from keras_shapley_prune.repair.ridge import RIDGE


class ShapleyRanker:
    """Estimates the Shapley value of each unit, one group at a time.

    The players are the units of a group (the filters of a layer, or of all layers
    that are tied to it). A unit's Shapley value is the mean of what it adds to the
    worth of a coalition, over all orders in which the units could join. The values of
    a group sum to the worth of all minus the worth of none ("efficiency"), a unit that
    nothing depends on gets 0 ("null player"). See "Shapley Value as Principled Metric
    for Structured Network Pruning" (Ancona, Öztireli, Gross, arXiv:2006.01795, section
    3.2), which estimates them with a few permutations shared by all examples. Here
    every example walks permutations of its own, in antithetic pairs (a permutation
    and its reverse), which costs the same and is far more exact.

    Args:
        estimator: String. `"permutation"` walks along random permutations of each
            example's own. `"gradient"` takes the gradient at random coalitions: all
            units from one backward pass, a little biased. `"exact"` evaluates every
            coalition, for groups of up to 16 units. `"corrected_gradient"` also walks
            on a fifth of the examples, corrects the gradients by what that finds, and
            has standard errors that count their bias. `"shared_permutation"` is the
            paper's, for comparison.
        num_draws: Integer, how many permutations each example walks, or at how many
            coalitions it takes the gradient; with `value="reconstruction"`, how many
            pairs of walks a stage. `None` for 1 (4 for reconstruction). A permutation
            costs `num_units + 1` evaluations of the part of the network after the
            masks. More examples are worth more than more permutations.
        value: What a coalition is worth. `"loss"`: minus the loss of the network in
            which the group's other units are removed. `"kl"`: minus the
            Kullback-Leibler divergence of its outputs from those of the original
            network; needs no labels. A callable `fn(labels, outputs)` that returns
            one value an example, the higher the better. `"reconstruction"`: minus the
            error with which the layers that read the group can be refitted to what
            they return in the original network; in closed form, without labels, only
            with `estimator="permutation"`.
        loss: What `model.compile(loss=...)` takes. `None` for the loss the model is
            compiled with. Only for `value="loss"`.
        stages: Integer c, or `None` for as many as units. After each stage the lowest
            1/c of the units leave for good, and the values of the rest are estimated
            anew among themselves. So a unit that looks cheap only because another one
            does the same work is noticed when that one has left.
        window: Float in (0, 1], the share of the units in play that a walk removes.
            Below 1 it looks at coalitions near the whole, as they will be after
            pruning. `None` for 1, or 0.5 with several stages.
        candidates: Float of at least 1, or `None`. With `value="reconstruction"` the
            window is not by chance: walks remove the units that are cheapest to lose
            alone, this many times as many as have to leave yet; the others always
            stay in. `None` for all units, or 1.25 with several stages.
        horizon: Float in (0, 1]. To find the candidates, at most this share of a
            group's units has to leave yet. Below 1 where one ranking is to serve
            budgets of different depth.
        decay: Float in [0, 1], what the samples of a stage weigh in the next. `None`
            for 0.8 (0 for reconstruction).
        replacement: What is read of a removed unit: `"zero"` (the paper), or
            `"mean"`, what it contributes on average to the layers that read it (where
            the layer's bias can take it, as after `repair="mean"`).
        reduction: How the values of the examples become one: `"mean"` (the Shapley
            value of the mean), `"rms"`, `"mean+2std"`, or a callable
            `fn(samples)`: float array of shape `(num_examples, num_units)` ->
            `(num_units,)`.
        sequential: Boolean. If so, groups are ranked from the input to the output,
            each on the network from which the lowest units of the groups before have
            been removed, and which has been repaired (`repair_channels`). Else each
            group is ranked on the original network.
        until: Float, or `None`. Stops ranking a group when the share of units that
            are predicted to be taken wrongly is this low, see `predict_misassigned`.
        max_evaluations: Integer, or `None`: stops when as many coalitions have been
            evaluated, counted an example at a time, shared out over the groups.
        max_seconds: Float, or `None`: the same with seconds.
        batch_size: Integer, the size of a batch where the data comes as arrays.
            Smaller batches are evaluated on several coalitions at once, up to this
            many examples.
        seed: Integer. The same seed and data give the same values.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranker = keras_shapley_prune.ShapleyRanker(num_draws=2, seed=1)
    print(ranker.plan(model, (images, labels)))
    ranking = ranker.rank(model, (images, labels))
    print(ranking)
    ```
    """

    def __init__(
        self,
        estimator="permutation",
        num_draws=None,
        value="loss",
        loss=None,
        *,
        stages=1,
        window=None,
        candidates=None,
        horizon=1.0,
        decay=None,
        replacement="zero",
        reduction="mean",
        sequential=False,
        until=None,
        max_evaluations=None,
        max_seconds=None,
        batch_size=32,
        seed=0,
    ):
        reconstruction = isinstance(value, str) and value == "reconstruction"
        if num_draws is None:
            num_draws = 4 if reconstruction else 1
        if decay is None:
            decay = 0.0 if reconstruction else 0.8
        if window is None:
            window = 1.0 if stages == 1 or reconstruction else 0.5
        if candidates is None and reconstruction and stages != 1:
            candidates = 1.25
        if stages is not None:
            check_integer("stages", stages, 1)
        check_integer("num_draws", num_draws, 1)
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        if max_evaluations is not None:
            check_integer("max_evaluations", max_evaluations, 1)
        check_share("window", window, above_zero=True)
        check_share("decay", decay)
        check_share("horizon", horizon, above_zero=True)
        if until is not None:
            check_share("until", until)
        if max_seconds is not None:
            check_at_least("max_seconds", max_seconds, 0, excluded=True)
        if candidates is not None:
            check_at_least("candidates", candidates, 1)
        if reconstruction and loss is not None:
            raise ValueError(
                "Argument `loss` should be given with value='loss' only. "
                f"Received: value={value!r}, loss={loss!r}"
            )
        choices = sorted([*ESTIMATORS, "corrected_gradient"])
        check_choice("estimator", estimator, choices)
        check_choice("replacement", replacement, ["mean", "zero"])
        check_combination(
            estimator,
            stages,
            window,
            candidates,
            horizon,
            replacement,
            reduction,
            value,
        )
        self.estimator = estimator
        self.num_draws = num_draws
        self.value = value
        self.loss = loss
        self.staging = Staging(stages, decay, resolve_reduction(reduction))
        self.window = window
        self.candidates = candidates
        self.horizon = horizon
        self.replacement = replacement
        self.sequential = sequential
        self.limits = {
            "until": until,
            "max_evaluations": max_evaluations,
            "max_seconds": max_seconds,
        }
        self.batch_size = batch_size
        self.seed = seed

    def rank(
        self,
        model,
        dataset,
        layers=None,
        channel_map=None,
        ratio=0.5,
        verbose="auto",
    ):
        """Estimates the values of every group of a model.

        Args:
            model: A built Sequential or functional `keras.Model`. It is not changed.
            dataset: What `model.evaluate` takes: a finite, batched
                `tf.data.Dataset`, a `keras.utils.PyDataset`, arrays `(x, y)` or
                `(x, y, sample_weight)`, or an iterable of batches. It is read once.
                With a value that needs no labels, batches of `x` alone do.
            layers: `None` for all groups, or layer names or shell-style patterns:
                only the groups that one of these layers produces.
            channel_map: The `ChannelMap` of `model`, if it has been traced already.
            ratio: Float in [0, 1), the share of each group that is to be removed, or
                a dict: group name -> float: where staged play and `until` may stop,
                and what leaves in sequential play before the next group is ranked.
            verbose: `"auto"` or 1 for a progress bar, 2 for one line a group, 0 for
                silence.

        Returns:
            A `Ranking`.

        Raises:
            ValueError: If the model has no graph or nothing that can be removed, if
                there is no loss, if the data is empty or does not fit the model, or
                if the loss is not finite.
        """
        check_verbose(verbose)
        play, calibration = self._prepare(model, dataset, layers, channel_map, ratio)
        return play.rank(calibration, verbose)

    def plan(self, model, dataset, layers=None, channel_map=None, ratio=0.5):
        """Tells what `rank` would cost, before anything is ranked.

        Args:
            model: As in `rank`.
            dataset: As in `rank`.
            layers: As in `rank`.
            channel_map: As in `rank`.
            ratio: As in `rank`.

        Returns:
            A `RankingPlan`: evaluations, FLOPs and an estimate of the seconds of each
            group; `print` shows a table. Stopping early is not foreseen.
        """
        play, calibration = self._prepare(model, dataset, layers, channel_map, ratio)
        return play.plan(calibration)

    def _prepare(self, model, dataset, layers, channel_map, ratio):
        if isinstance(self.value, str) and self.value == "reconstruction":
            play = Reconstruction(
                num_draws=self.num_draws,
                staging=self.staging,
                candidates=self.candidates,
                horizon=self.horizon,
                sequential=self.sequential,
                ridge=RIDGE,
                limits=self.limits,
                seed=self.seed,
            )
            needs_labels = False
        else:
            value = resolve_value(self.value, model, self.loss)
            needs_labels = value.needs_labels
            play = self._sample(value)
        calibration = Calibration(
            model, dataset, layers, channel_map, ratio, self.batch_size, needs_labels
        )
        return play, calibration

    def _sample(self, value):
        def sampling(estimator):
            return Sampling(
                value=value,
                estimator=estimator,
                staging=self.staging,
                replacement=self.replacement,
                sequential=self.sequential,
                limits=self.limits,
                fold_size=self.batch_size,
                seed=self.seed,
            )

        if self.estimator == "corrected_gradient":
            gradients = sampling(ESTIMATORS["gradient"](self.num_draws, self.window))
            return CorrectedGradient(gradients, sampling(BiasEstimator()))
        return sampling(ESTIMATORS[self.estimator](self.num_draws, self.window))
