"""The rankings that pruning is usually done by, for comparison and for speed."""

import numpy as np

from keras_shapley_prune.inputs.arguments import check_integer
from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.closed_form.source import Reconstruction
from keras_shapley_prune.rank.progress import check_verbose
from keras_shapley_prune.rank.ranking import GroupScores, Ranking
from keras_shapley_prune.rank.sampled.activation_scores import (
    BASELINES,
    LeaveOneOutEstimator,
)
from keras_shapley_prune.rank.sampled.sampling import Sampling
from keras_shapley_prune.rank.sampled.values import resolve_value
from keras_shapley_prune.rank.staging import Staging
from keras_shapley_prune.rank.weight_scores import WEIGHT_SCORES
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.trace.tracer import trace_channels

GREEDY = Staging(stages=None, decay=0.0)  # one unit a stage, nothing remembered
BASELINE_NAMES = (*WEIGHT_SCORES, *BASELINES, "greedy_backward", "reconstruction")


class BaselineRanker:
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
            `"greedy_backward"`: the same again after each unit that leaves, n/2 times
            the cost. From the layers that read the units, without labels:
            `"reconstruction"`, the error of the refitted layer as one unit after the
            other leaves (optimal brain surgeon, for whole channels; summed over the
            layers, each by its variance).
        value: What the criteria of gradients and loss look at: `"loss"`, `"kl"` or a
            callable, as in `ShapleyRanker`.
        loss: What `model.compile(loss=...)` takes. `None` for the compiled loss.
        batch_size: Integer, the size of a batch where the data comes as arrays.
        seed: Integer, for `"random"`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(model, dataset)
    ```
    """

    def __init__(self, criterion, value="loss", loss=None, batch_size=32, seed=0):
        if criterion not in BASELINE_NAMES:
            raise ValueError(
                f"Argument `criterion` should be one of {list(BASELINE_NAMES)}. "
                f"Received: criterion={criterion!r}"
            )
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        self.criterion = criterion
        self.value = value
        self.loss = loss
        self.batch_size = batch_size
        self.seed = seed

    def rank(
        self,
        model,
        dataset=None,
        layers=None,
        channel_map=None,
        ratio=0.5,
        verbose="auto",
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

        Returns:
            A `Ranking`. Standard errors of the criteria of the weights are 0.

        Raises:
            ValueError: If the model or the data does not fit.
        """
        check_verbose(verbose)
        if self.criterion in WEIGHT_SCORES:
            return self._rank_weights(channel_map or trace_channels(model), layers)
        play, needs_labels = self._play(model)
        calibration = Calibration(
            model, dataset, layers, channel_map, ratio, self.batch_size, needs_labels
        )
        ranking = play.rank(calibration, verbose)
        ranking.comparable = self.criterion not in ("apoz", "mean_activation")
        return ranking

    def _play(self, model):
        if self.criterion == "reconstruction":
            play = Reconstruction(
                num_draws=1, staging=GREEDY, candidates=None, ridge=RIDGE, greedy=True
            )
            return play, False
        value = resolve_value(self.value, model, self.loss)
        play = Sampling(
            value,
            BASELINES.get(self.criterion, LeaveOneOutEstimator)(),
            GREEDY if self.criterion == "greedy_backward" else Staging(),
            fold_size=self.batch_size,
        )
        return play, value.needs_labels

    def _rank_weights(self, channel_map, layers):
        score = WEIGHT_SCORES[self.criterion]
        generator = np.random.default_rng(self.seed)
        groups = {}
        for group in channel_map.select_groups(layers):
            values = score(channel_map, group, generator)
            groups[group.name] = GroupScores(values, np.zeros(len(values)), 0)
        locks = channel_map.lock_reasons()
        return Ranking(groups, self.criterion, 0, locks, comparable=False)
