"""Gradient estimates, corrected by the errors that a few walks find in them."""

import dataclasses

import numpy as np
import scipy.optimize
import tensorflow as tf

from keras_shapley_prune.rank.estimators.gradient import GradientEstimator
from keras_shapley_prune.rank.estimators.permutation import Permutation
from keras_shapley_prune.rank.estimators.walks import walk_marginals
from keras_shapley_prune.rank.table import SampleTable

SHARE = 0.2  # of the examples that walk
_LOOKS = 4  # gradients along a walk


@dataclasses.dataclass(frozen=True, repr=False)
class BiasEstimator(Permutation):
    """Estimates by how much walks exceed gradients, on the same examples.

    The gradients are taken at coalitions of the walk itself: what makes an example's
    estimates large is in both, and cancels.
    """

    walks = controls = False
    num_traced = 2 + 3 * _LOOKS

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        return super().num_evaluations(num_active) + 3 * _LOOKS

    def estimate(self, values_of, ranks):
        num_units = ranks.shape[1]
        ends, ranks = values_of.match(ranks)
        # One look in each quarter of a walk. Where in the quarter it is differs from
        # example to example, so that the batch looks at coalitions of all sizes.
        gains = []
        for look in range(_LOOKS):
            spread = look + values_of.places
            gone = tf.cast(spread / _LOOKS * (num_units + 1), tf.int32)
            coalitions = tf.cast(ranks >= gone[:, tf.newaxis], tf.float32)
            gains.append(GradientEstimator().estimate(values_of, coalitions))
        walked = walk_marginals(values_of.walk(ranks, ends), ranks)
        return walked - tf.add_n(gains) / _LOOKS


@dataclasses.dataclass(frozen=True, repr=False)
class CorrectedGradient(GradientEstimator):
    """Takes gradients on all examples, and corrects them by walks on a fifth of them.

    On the fifth, permutation walks tell by how much the gradients err (see
    `Gradient`). The part of these differences that is more than noise is added to the
    estimates, by the shrinkage of Fay and Herriot (1979), with the variance of Li and
    Lahiri (2010): see `combine`. The standard errors include the bias that may
    remain. Gradients and walks of a group see the same network, and share one budget.

    A draw costs 5 evaluations an example, as with `Gradient`. In addition every fifth
    example costs `num_units + 13` evaluations, once.

    Args:
        num_draws: Integer, at how many coalitions the gradient is taken for each
            example.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    surer = keras_shapley_prune.estimators.CorrectedGradient(num_draws=4)
    ranker = keras_shapley_prune.ShapleyRanker("kl", surer)
    ```
    """

    num_draws: int = 1

    correction = BiasEstimator()
    takes_stages = takes_reduction = False

    def describe(self):
        return f"{super().describe()}, corrected by walks"


class CorrectedTable(SampleTable):
    """Samples of estimates and, in further rows, samples of their biases.

    Args:
        num_rows: Integer, the number of examples.
        num_bias_rows: Integer, how many of them have a sample of the bias.
        num_units: Integer.
    """

    def __init__(self, num_rows, num_bias_rows, num_units):
        super().__init__(num_rows + num_bias_rows, num_units)
        self.num_rows = num_rows

    @property
    def num_rows_of(self):
        """Float array: the rows of a unit, of estimates or biases, if those are fewer.

        A standard error of the result is sure only if both parts of it are.
        """
        return np.minimum(*[part.rows for part in self._moments_of_parts()])

    def estimate(self):
        """Returns the corrected estimates and their standard errors, see `combine`."""
        estimates, biases = self._moments_of_parts()
        return combine(
            estimates.mean, estimates.standard_error, biases.mean, biases.standard_error
        )

    def _moments_of_parts(self):
        parts = []
        for rows in (slice(self.num_rows), slice(self.num_rows, None)):
            part = SampleTable(0, self.num_units)
            part.sum, part.count = self.sum[rows], self.count[rows]
            parts.append(part.moments)
        return parts


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
        bias: Float array, shape `(num_units,)`, by how much unbiased estimates exceed
            `values`.
        bias_errors: Float array, shape `(num_units,)`, its standard errors.

    Returns:
        Tuple of two float arrays, shape `(num_units,)`: estimates and standard errors.
    """
    # The variance of the noise in the estimated biases, taken as one for all units.
    noise = float(np.mean(bias_errors**2))
    if not np.isfinite(noise):
        return values, np.full_like(values, np.inf)
    if noise == 0:
        return values + bias, errors
    # By moments: E[bias²] is the variance A of the true biases, plus the noise.
    found = max(float(np.mean(bias**2)) - noise, 0.0)

    # Minus the logarithm of the likelihood of bias ~ N(0, A + noise), times A.
    def cost(log_variance):
        total = np.exp(log_variance) + noise
        return (
            len(bias) * np.log(total) / 2 + np.sum(bias**2) / total / 2 - log_variance
        )

    bounds = np.log(noise) + np.array([-12, 12])
    positive = np.exp(scipy.optimize.minimize_scalar(cost, bounds=bounds).x)
    # The variance of a true bias, given its estimate. The estimate itself is shrunk by
    # A / (A + noise).
    left = positive * noise / (positive + noise)
    return values + found / (found + noise) * bias, np.sqrt(errors**2 + left)
