"""Gradient estimates, corrected by a few walks."""

import dataclasses

import numpy as np
import scipy.optimize

from keras_shapley_prune.ranking.ranking import GroupScores
from keras_shapley_prune.ranking.sampling import Sampling

SHARE = 0.1  # of the examples that walk


@dataclasses.dataclass(frozen=True)
class CorrectedGradient:
    """Ranks by gradients on all examples and walks on a tenth of them.

    Attributes:
        gradients: A `Sampling` with the `GradientEstimator`.
        walks: A `Sampling` with the `PermutationEstimator`.
    """

    gradients: Sampling
    walks: Sampling

    def rank(self, calibration, verbose):
        """Returns the `Ranking`, see `Sampling.rank`."""
        cheap = self.gradients.rank(calibration, verbose)
        exact = self.walks.rank(calibration.take(SHARE), verbose)
        scores = {}
        for name, scored in cheap.items():
            walked = exact[name]
            values, errors = combine(
                scored.values, walked.values, walked.standard_errors
            )
            evaluations = scored.num_evaluations + walked.num_evaluations
            scores[name] = GroupScores(values, errors, evaluations)
        return calibration.make_ranking(scores, f"{cheap.method}, corrected by walks")

    def plan(self, calibration):
        """Returns the `RankingPlan`."""
        walks = self.walks.plan(calibration.take(SHARE))
        return self.gradients.plan(calibration) + walks


def combine(biased, unbiased, standard_errors):
    """Draws biased estimates towards unbiased ones, as far as these can be trusted.

    The biases are taken as normal with an unknown variance (Fay and Herriot 1979, with
    the biased estimate as the regressor of slope 1): the less the two differ beyond
    the noise of the unbiased ones, the more the biased ones count. What all units have
    in common is left to the biased estimates, which are efficient. The variance is the
    mode of its likelihood times itself, which is never 0 (Li and Lahiri 2010), so that
    standard errors do not collapse.

    Args:
        biased: Float array, shape `(num_units,)`.
        unbiased: Float array, shape `(num_units,)`.
        standard_errors: Float array, shape `(num_units,)`, of `unbiased`.

    Returns:
        Tuple of two float arrays, shape `(num_units,)`: estimates and standard errors.
    """
    noise = np.full_like(standard_errors, np.mean(standard_errors**2))
    if len(biased) < 2 or not np.isfinite(noise).all():
        return biased, np.full_like(biased, np.inf)
    difference = unbiased - biased
    difference = difference - difference.mean()
    floor = np.finfo(float).tiny
    if noise[0] <= floor:
        return biased + difference, np.sqrt(noise)

    def cost(log_variance):
        total = np.exp(log_variance) + noise
        fit = np.sum(np.log(total) + difference**2 / total) / 2
        return fit - log_variance

    around = np.log(noise[0])
    found = scipy.optimize.minimize_scalar(
        cost, bounds=(around - 12, around + 12), method="bounded"
    )
    variance = np.exp(found.x)
    trust = variance / (variance + noise)
    return biased + trust * difference, np.sqrt(trust * noise)
