"""Samples beside control variates: what is known of their noise is taken off."""

import numpy as np

from keras_shapley_prune.rank.table import SampleTable

_ROUNDING = 1e-6  # of the largest sample: less than that is none


class ControlledTable(SampleTable):
    """Samples of estimates and, in further rows, of their control variate.

    A control variate has a mean of zero, whatever the example. The estimate is the mean
    of `sample - b * control`, with one coefficient `b` for all units, found by
    regression and shrunk by what may be chance. Each half of the examples takes the
    coefficient of the other half, so that it does not depend on the noise that it is
    multiplied with: the estimate has the mean that it would have without (Owen, "Monte
    Carlo theory, methods and examples", 8.9). A unit that changes nothing in any
    example (a null player) has no noise, and keeps its 0.

    Args:
        num_rows: Integer, the number of examples.
        num_units: Integer.

    Attributes:
        halves: Integer array, shape `(num_rows,)`, 0 or 1: which half an example is in.
            Examples whose draws depend on each other should be in one.
    """

    def __init__(self, num_rows, num_units):
        super().__init__(2 * num_rows, num_units)
        self.num_rows = num_rows
        # Antithetic draws come in blocks of four.
        self.halves = np.arange(num_rows) // 4 % 2

    @property
    def num_rows_of(self):
        return self._adjusted.num_rows_of

    @property
    def samples(self):
        return self._adjusted.samples

    @property
    def moments(self):
        return self._adjusted.moments

    @property
    def coefficients(self):
        """List of two floats, by which the control variate of each half counts."""
        return self._find_coefficients(self._controls)

    def _find_coefficients(self, controls):
        sums, counts = self.sum[: self.num_rows], self.count[: self.num_rows]
        with np.errstate(invalid="ignore"):
            mean = np.nan_to_num(sums.sum(axis=0) / counts.sum(axis=0))
        products = np.sum((sums - mean * counts) * controls, axis=1)
        squares, found = np.sum(controls**2, axis=1), []
        for half in (0, 1):
            others = self.halves != half
            found.append(_regress(products[others], squares[others]))
        return found

    @property
    def _adjusted(self):
        """A `SampleTable` of the samples without what the control variate explains."""
        table, controls = SampleTable(0, self.num_units), self._controls
        coefficients = np.array(self._find_coefficients(controls))
        by_row = coefficients[self.halves][:, np.newaxis]
        table.sum = self.sum[: self.num_rows] - by_row * controls
        table.count = self.count[: self.num_rows]
        return table

    @property
    def _controls(self):
        """Float array: the control variate, without null players.

        The layers behind a reader may drop what a unit contributes to it.
        """
        sizes, controls = np.abs(self.sum[: self.num_rows]), self.sum[self.num_rows :]
        noticed = _ROUNDING * sizes.max(initial=0)
        # An example without a weight has nothing to share out.
        plays = (sizes.max(axis=1, initial=0) > 0)[:, np.newaxis] & (
            sizes.max(axis=0, initial=0) > noticed
        )
        counts = self.count[: self.num_rows] * plays
        kept = np.where(plays, controls, 0)
        # The sum over the units stays what it was: with walks, 0.
        left = (controls - kept).sum(axis=1, keepdims=True)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-30)
        return kept + left * share


def _regress(products, squares):
    """Returns a coefficient of regression, less what may be chance.

    Args:
        products: Float array, shape `(num_rows,)`: of each example, the sum of the
            products of residuals and control variate.
        squares: Float array, shape `(num_rows,)`: the sum of the squares of the latter.
    """
    total, scale = products.sum(), squares.sum()
    # Rows are independent, the units of a row are not.
    chance = np.sum((products - total / scale * squares) ** 2) if scale > 0 else 0.0
    if scale == 0 or total**2 <= chance:
        return 0.0
    # Stein's shrinkage: where there is nothing to explain, little noise is added.
    return float(total / scale * (1 - chance / total**2))
