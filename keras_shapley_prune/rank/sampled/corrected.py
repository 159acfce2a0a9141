"""Gradient estimates, corrected by what they are found to err by on a few walks."""

import dataclasses

import numpy as np
import scipy.optimize
import tensorflow as tf

from keras_shapley_prune.rank.ranking import GroupScores
from keras_shapley_prune.rank.sampled.estimators import (
    GradientEstimator,
    PermutationEstimator,
)
from keras_shapley_prune.rank.sampled.sampling import Sampling

SHARE = 0.2  # of the examples that walk
_LOOKS = 4  # gradients along a walk


class BiasEstimator(PermutationEstimator):
    """Estimates by how much walks exceed gradients, on the same examples.

    The gradients are taken at coalitions of the walk itself: what makes an example's
    estimates large is in both, and cancels.
    """

    walks = False

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        return super().num_evaluations(num_active) + 3 * _LOOKS

    def estimate(self, play, ranks):
        """Returns the estimates of one draw, shape `(batch, num_units)`."""
        batch, num_units = tf.shape(ranks)[0], ranks.shape[1]
        spread = (tf.range(batch, dtype=tf.float32) + 0.5) / tf.cast(batch, tf.float32)
        gains = []
        for look in range(_LOOKS):
            gone = tf.cast((look + spread) / _LOOKS * (num_units + 1), tf.int32)
            coalitions = tf.cast(ranks >= gone[:, tf.newaxis], tf.float32)
            gains.append(GradientEstimator().estimate(play, coalitions))
        return super().estimate(play, ranks) - tf.add_n(gains) / _LOOKS


@dataclasses.dataclass(frozen=True)
class CorrectedGradient:
    """Ranks by gradients on all examples, and walks on a fifth of them.

    Attributes:
        gradients: A `Sampling` with the `GradientEstimator`.
        bias: A `Sampling` with the `BiasEstimator`.
    """

    gradients: Sampling
    bias: Sampling

    def rank(self, calibration, verbose):
        """Returns the `Ranking`, see `Sampling.rank`."""
        cheap = self.gradients.rank(calibration, verbose)
        found = self.bias.rank(calibration.take(SHARE), verbose)
        scores = {}
        for name, one in cheap.items():
            two = found[name]
            values, errors = combine(
                one.values, one.standard_errors, two.values, two.standard_errors
            )
            evaluations = one.num_evaluations + two.num_evaluations
            scores[name] = GroupScores(values, errors, evaluations)
        return calibration.make_ranking(scores, f"{cheap.method}, corrected by walks")

    def plan(self, calibration):
        """Returns the `RankingPlan`."""
        bias = self.bias.plan(calibration.take(SHARE))
        return self.gradients.plan(calibration) + bias


def combine(values, errors, bias, bias_errors):
    """Adds to estimates the part of their estimated biases that is to be trusted.

    The true biases of a group's units are taken as normal, with an unknown variance
    (Fay and Herriot 1979): the less the estimated ones differ beyond their noise, the
    less of them is added. For the standard errors the variance is the mode of its
    likelihood times itself, which is never 0 (Li and Lahiri 2010): a bias that is not
    found may still be there.

    Args:
        values: Float array, shape `(num_units,)`.
        errors: Float array, shape `(num_units,)`, standard errors but for the bias.
        bias: Float array, shape `(num_units,)`, what unbiased estimates are found to
            exceed `values` by.
        bias_errors: Float array, shape `(num_units,)`, its standard errors.

    Returns:
        Tuple of two float arrays, shape `(num_units,)`: estimates and standard errors.
    """
    noise = float(np.mean(bias_errors**2))
    if not np.isfinite(noise):
        return values, np.full_like(values, np.inf)
    if noise == 0:
        return values + bias, errors
    found = max(float(np.mean(bias**2)) - noise, 0.0)

    def cost(log_variance):
        total = np.exp(log_variance) + noise
        return (
            len(bias) * np.log(total) / 2 + np.sum(bias**2) / total / 2 - log_variance
        )

    bounds = np.log(noise) + np.array([-12, 12])
    positive = np.exp(scipy.optimize.minimize_scalar(cost, bounds=bounds).x)
    left = positive * noise / (positive + noise)
    return values + found / (found + noise) * bias, np.sqrt(errors**2 + left)
