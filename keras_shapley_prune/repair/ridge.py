"""Ridge regression towards known weights, from second moments."""

import numpy as np
import scipy.linalg

RIDGE = 1e-2  # times the mean of the diagonal


def solve_towards(xx, xy, prior, ridge=RIDGE):
    """Returns the weights W that minimize the squared error, held to a prior.

    The minimum of `E|y - W'x|^2 + s |W - prior|^2`, where `s` is `ridge` times the
    mean of the diagonal of `xx`.

    Args:
        xx: Float array, shape `(num_columns, num_columns)`, second moments of x.
        xy: Float array, shape `(num_columns, num_outputs)`, of x with y.
        prior: Float array, shape `(num_columns, num_outputs)`.
        ridge: Float.

    Returns:
        Float array, shape `(num_columns, num_outputs)`.
    """
    strength = ridge * np.trace(xx) / len(xx)
    if strength <= 0:  # the input is constant
        return np.array(prior, "float64")
    regular = xx + strength * np.eye(len(xx))
    return scipy.linalg.solve(regular, xy + strength * prior, assume_a="pos")
