"""Exact Shapley values from the values of all coalitions."""

import math

import numpy as np

MAX_UNITS = 16


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
    others = inside.sum(axis=1, keepdims=True) - inside
    weight = np.array(
        [1 / (num_units * math.comb(num_units - 1, s)) for s in range(num_units)]
    )
    return np.where(inside, 1.0, -1.0) * weight[others]
