"""The running state of a ranking: what was sampled of each example, and its sums."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Moments:
    """Sums over the rows of a table: all that a mean and its error need.

    Everything is a sum over rows.

    Attributes:
        sum: Float array, shape `(num_units,)`, of the samples.
        count: Float array, of their weights: 1 a sample, less where decayed.
        rows: Float array, how many rows have samples of the unit.
        sum_of_squares: Float array, of the rows' sums.
        cross_sum: Float array, of the rows' sums times their counts.
        count_of_squares: Float array, of the rows' counts squared.
    """

    sum: np.ndarray
    count: np.ndarray
    rows: np.ndarray
    sum_of_squares: np.ndarray
    cross_sum: np.ndarray
    count_of_squares: np.ndarray

    @property
    def mean(self):
        """Float array, shape `(num_units,)`; NaN where there is no sample."""
        with np.errstate(invalid="ignore"):
            return self.sum / self.count

    @property
    def standard_error(self):
        """Float array, shape `(num_units,)`; infinite before two rows.

        It is the error against the population that the examples are drawn from: it
        holds the noise of the draws and that of having drawn just these examples.
        """
        # The mean is a ratio of sums over rows, Σ s_r / Σ c_r (s the sum of a row's
        # samples, c their count). Its error comes from the residuals s_r - mean c_r of
        # the R rows: sqrt(Σ residual² R / (R - 1)) / Σ c_r. Written out, the sums are
        # enough. Rows are independent; samples within a row, of one example, are not.
        mean = np.nan_to_num(self.mean)
        spread = (
            self.sum_of_squares
            - 2 * mean * self.cross_sum
            + mean**2 * self.count_of_squares
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            # Rounding may bring a difference of squares below zero.
            spread = np.maximum(spread, 0) * self.rows / (self.rows - 1)
            return np.where(self.rows < 2, np.inf, np.sqrt(spread) / self.count)


class SampleTable:
    """Sums of samples, a row for each example (or for each draw they share).

    Args:
        num_rows: Integer.
        num_units: Integer.
    """

    def __init__(self, num_rows, num_units):
        self.sum = np.zeros((num_rows, num_units))
        self.count = np.zeros_like(self.sum)

    @property
    def num_units(self):
        """Integer, the number of columns."""
        return self.sum.shape[1]

    def add(self, rows, samples, counted=None):
        """Adds samples.

        Args:
            rows: Integer array, shape `(batch,)`, the row of each sample.
            samples: Float array, shape `(batch, num_units)`.
            counted: Boolean array of that shape, which of them are samples, or `None`
                for all.
        """
        counted = np.ones(samples.shape) if counted is None else counted
        # `+=` would add only one of several samples that belong to the same row.
        np.add.at(self.sum, rows, np.where(counted, samples, 0))
        np.add.at(self.count, rows, counted)

    def decay(self, factor):
        """Multiplies what has been added so far, so that it weighs less."""
        # Sums and counts alike: the mean is the same, but later samples outweigh it.
        self.sum *= factor
        self.count *= factor

    def forget(self, units):
        """Removes all samples of some units."""
        self.sum[:, units] = 0
        self.count[:, units] = 0

    @property
    def num_rows_of(self):
        """Float array, shape `(num_units,)`: how many rows have samples of a unit."""
        return self.moments.rows

    def estimate(self):
        """Returns the estimated value of each unit, and its standard error.

        Returns:
            Tuple of two float arrays, shape `(num_units,)`.
        """
        moments = self.moments
        return moments.mean, moments.standard_error

    @property
    def samples(self):
        """Float array, shape `(num_rows, num_units)`: means; NaN where there is none.

        Rows without any sample are not in it.
        """
        used = self.count.any(axis=1)
        with np.errstate(invalid="ignore"):
            return self.sum[used] / self.count[used]

    @property
    def moments(self):
        """The `Moments` of all rows."""
        sums, counts = self.sum, self.count
        return Moments(
            sum=sums.sum(axis=0),
            count=counts.sum(axis=0),
            rows=(counts > 0).sum(axis=0).astype(float),
            sum_of_squares=(sums**2).sum(axis=0),
            cross_sum=(sums * counts).sum(axis=0),
            count_of_squares=(counts**2).sum(axis=0),
        )
