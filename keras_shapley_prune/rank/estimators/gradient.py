"""Gradients at random coalitions: estimates of all units from one backward pass."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.arguments import check_boolean
from keras_shapley_prune.rank.estimators.estimator import OutputEstimator, counted_noun
from keras_shapley_prune.rank.estimators.walks import OUT


class GradientEstimator(OutputEstimator):
    """What `Gradient` and `CorrectedGradient` share: how they draw and estimate."""

    efficient = True

    def describe(self):
        return f"{counted_noun(self.num_draws, 'gradient')} an example"

    @property
    def _is_efficient(self):
        # With a window, what is to be added up to is not known.
        return self.efficient and self.window == 1

    @property
    def num_traced(self):
        """Integer, forward and backward, and both ends at once."""
        return 3 if self._is_efficient else 2

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        # One forward, two for the backward pass, and without a window the two ends.
        return 5 if self._is_efficient else 3

    def draw(self, key, size, active):
        generator = np.random.default_rng(key)
        # One density of each of `size` strata: a batch has coalitions of all sizes.
        strata = generator.permutation(size)
        density = 1 - self.window * (strata + generator.random(size)) / size
        inside = generator.random((size, len(active))) < density[:, np.newaxis]
        return np.where(active, inside, OUT).astype("float32")

    def control(self, contributions, drawn):
        # A unit is missing with the mean of the densities: half of the window.
        missing = np.where(drawn == OUT, 0, 1 - drawn - self.window / 2)
        gains = 2 * contributions @ (missing @ contributions)
        if self._is_efficient:  # what is spread evenly is noise that is spread
            gains -= gains[drawn != OUT].mean()
        return np.where(drawn == OUT, 0, gains)

    def estimate(self, values_of, drawn):
        active = tf.cast(drawn != OUT, tf.float32)
        # OUT is -1: who is not in play is masked.
        coalitions = drawn * active
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(coalitions)
            # The examples do not touch each other: one gradient serves them all.
            total = tf.reduce_sum(values_of(coalitions))
        # Of units that do not reach the outputs there is none.
        gains = tape.gradient(total, coalitions, unconnected_gradients="zero") * active
        if not self._is_efficient:
            return gains
        # What is known exactly is the sum over the units: the error in it is shared.
        first, last = values_of.ends(active)
        missing = first - last - tf.reduce_sum(gains, axis=1)
        # Efficiency, Σ φ_i = v(all) - v(none). Spread evenly, the rest changes no
        # order.
        share = missing / tf.reduce_sum(active, axis=1)
        return gains + share[:, tf.newaxis] * active


@dataclasses.dataclass(frozen=True, repr=False)
class Gradient(GradientEstimator):
    """Estimates all units at once by the gradient at one random coalition.

    At a coalition S, the derivative of the value with respect to a unit's mask is a
    first-order estimate of what the unit adds to S. Its mean over a uniform density
    of S is the Shapley value of a multilinear game (Owen 1972, "Multilinear
    extensions of games"). A gradient describes a small change, but a
    filter is removed entirely: the estimates are a little biased, and the standard
    errors do not include this bias. The network is also evaluated with all and with no
    units in play. If the estimates of an example do not add up to the difference of
    these two values, the rest is spread evenly over the units: the values are
    efficient, and their order is that of the gradients. With a window below 1 this
    difference is not known, and the values are not made efficient.

    A draw costs a backward pass and two evaluations an example (counted as 5; 3 in a
    window), whatever the number of units.

    Args:
        num_draws: Integer, at how many coalitions the gradient is taken for each
            example.
        window: Float in (0, 1], the share of the units in play that a coalition may
            lack: the density of S is uniform on `(1 - window, 1)`.
        decay: Float in [0, 1], what the samples of a stage weigh in the next one.
        efficient: Boolean, whether the values are made to add up. If not, a draw costs
            3 evaluations instead of 5, has the same order (with a control variate:
            nearly), and a unit that nothing depends on has a value of 0.
        control_variate: Boolean. If so, the noise that a closed form explains is taken
            off, see `Permutation`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    four = keras_shapley_prune.estimators.Gradient(num_draws=4, window=0.5)
    ranker = keras_shapley_prune.ShapleyRanker("kl", four)
    ```
    """

    num_draws: int = 1
    window: float = 1.0
    decay: float = 0.8
    efficient: bool = True
    control_variate: bool = True

    def __post_init__(self):
        super().__post_init__()
        check_boolean("efficient", self.efficient)
        check_boolean("control_variate", self.control_variate)

    @property
    def controls(self):
        return self.control_variate
