"""Exact Shapley values from the values of all coalitions."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.estimators.estimator import OutputEstimator
from keras_shapley_prune.rank.estimators.walks import evaluate_folded

MAX_UNITS = 16


@dataclasses.dataclass(frozen=True, repr=False)
class Exact(OutputEstimator):
    """Evaluates every coalition: the Shapley values of each example, exactly.

    A unit's value is the mean of `v(S + unit) - v(S)` over all coalitions S without
    it, of which one of size s weighs `s! (n - 1 - s)! / n!` (Shapley 1953). It costs
    `2 ** n` evaluations an example, for groups of up to n = 16 units; `rank` raises
    an error for a larger group. There is nothing to draw, and so nothing to set. The
    standard errors hold only what comes from the choice of the examples.

    Example:

    ```python
    exact = keras_shapley_prune.estimators.Exact()
    ranker = keras_shapley_prune.ShapleyRanker("loss", exact)
    ```
    """

    takes_stages = False

    def describe(self):
        return "all coalitions"

    def num_evaluations(self, num_active):
        if num_active > MAX_UNITS:
            raise ValueError(
                f"{self} takes groups of up to {MAX_UNITS} units: it evaluates every "
                f"coalition. Received: a group of {num_active} units. `layers=` "
                "selects smaller ones"
            )
        return 2**num_active

    def estimate(self, values_of, drawn):
        num_units, batch = drawn.shape[1], tf.shape(drawn)[0]
        coalitions = tf.constant(all_coalitions(num_units))

        def chosen(steps):
            # Every example has the same coalition: shape `(fold, batch, num_units)`.
            return tf.repeat(tf.gather(coalitions, steps)[:, tf.newaxis], batch, axis=1)

        # (2 ** n, batch), in the order of `all_coalitions`.
        values = evaluate_folded(values_of, chosen, 2**num_units, batch, values_of.fold)
        # A sum of 2 ** 16 terms of alternating signs needs the longer floats.
        weights = tf.constant(shapley_weights(num_units))
        shapley = tf.matmul(tf.cast(values, tf.float64), weights, transpose_a=True)
        return tf.cast(shapley, tf.float32)


def all_coalitions(num_units):
    """Returns every coalition, float32, shape `(2**num_units, num_units)`.

    Row `k` holds the unit `i` if bit `i` of `k` is set.
    """
    numbers = np.arange(2**num_units)[:, np.newaxis]
    return ((numbers >> np.arange(num_units)) & 1).astype(np.float32)


def shapley_weights(num_units):
    """Returns the matrix that turns the values of all coalitions into Shapley values.

    Unit `i` gets the mean of `v(S + i) - v(S)` over all coalitions S without it, where
    a coalition of size s weighs `s! (n - 1 - s)! / n!` (Shapley 1953). So `v(T)`
    counts with the weight of `T - i` where T holds `i`, and with minus that of T
    where it does not.

    Args:
        num_units: Integer n.

    Returns:
        Float64 array, shape `(2**num_units, num_units)`: its transpose times the
        values, in the order of `all_coalitions`, is the Shapley value of each unit.
    """
    inside = all_coalitions(num_units).astype(bool)
    # The size of T - i, for each coalition T (rows) and unit i (columns).
    others = inside.sum(axis=1, keepdims=True) - inside
    # s! (n - 1 - s)! / n! = 1 / (n C(n - 1, s)).
    weight = np.array(
        [1 / (num_units * math.comb(num_units - 1, s)) for s in range(num_units)]
    )
    return np.where(inside, 1.0, -1.0) * weight[others]
