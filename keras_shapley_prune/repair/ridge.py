"""Ridge regression towards known weights, from second moments."""

import functools

import numpy as np
import scipy.linalg

RIDGE = 1e-2  # times the mean of the diagonal
RIDGES = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)


class RidgeSystem:
    """The equations of a ridge regression, factorized once for any right-hand side.

    Args:
        xx: Float array, shape `(num_columns, num_columns)`, second moments of x.
        ridge: Float.

    Attributes:
        strength: Float, `ridge` times the mean of the diagonal of `xx`; 0 if the input
            is constant.
    """

    def __init__(self, xx, ridge=RIDGE):
        self.strength = max(ridge * np.trace(xx) / len(xx), 0.0)
        if self.strength:
            regular = xx + self.strength * np.eye(len(xx))
            self._factor = scipy.linalg.cho_factor(regular, overwrite_a=True)

    def solve(self, xy, prior):
        """Returns the weights W that minimize `E|y - W'x|^2 + strength |W - prior|^2`.

        Args:
            xy: Float array, shape `(num_columns, num_outputs)`, moments of x with y.
            prior: Float array, shape `(num_columns, num_outputs)`.
        """
        if not self.strength:
            return np.array(prior, "float64")
        return scipy.linalg.cho_solve(self._factor, xy + self.strength * prior)


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
    return RidgeSystem(xx, ridge).solve(xy, prior)


def choose_ridge(rest, held_out, prior, centred=True, ridges=RIDGES):
    """Returns the ridge under which some data predicts other data best.

    Args:
        rest: A `Gram`, of the examples that are fitted.
        held_out: A `Gram`, of the others.
        prior: Float array, shape `(num_columns, num_outputs)`.
        centred: Boolean, whether the fit has a bias.
        ridges: Sequence of floats to choose from, rising.

    Returns:
        Float, one of `ridges`, better than its neighbours; `RIDGE` if one of the two
        has no rows.
    """
    if not rest.count or not held_out.count:
        return RIDGE
    mean_x, mean_y, xx, xy, _ = rest.covariances(centred)

    @functools.cache
    def error(place):
        weights = solve_towards(xx, xy, prior, ridges[place])
        return held_out.squared_error(weights, mean_y - mean_x @ weights)

    # The error falls and then rises: from the middle downhill, half of them are tried.
    lowest, tried = None, len(ridges) // 2
    while tried != lowest:
        lowest = tried
        around = range(max(lowest - 1, 0), min(lowest + 2, len(ridges)))
        tried = min(around, key=lambda place: (error(place), place != lowest))
    return ridges[lowest]
