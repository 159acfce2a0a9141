"""The running state of an estimate: sums over blocks of examples."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class RunningMoments:
    """Sums from which a mean and its standard error follow at any time.

    An observation is the average over a block of examples whose draws belong
    together (an antithetic pair is never split). Two states add up, so the
    observations can be made in any order and place.

    Attributes:
        num_units: Integer.
        weight: Float, the number of examples so far.
        weight_squared: Float, the sum of the squared block sizes.
        num_blocks: Integer, the number of observations so far.
        sum: Float array, shape `(num_units,)`: block size times observation.
        squared_sum: The same, of the squares: block size squared times observation.
        sum_of_squares: Block size squared times squared observation.
    """

    num_units: int
    weight: float = 0.0
    weight_squared: float = 0.0
    num_blocks: int = 0
    sum: np.ndarray = None
    squared_sum: np.ndarray = None
    sum_of_squares: np.ndarray = None

    def __post_init__(self):
        for name in ("sum", "squared_sum", "sum_of_squares"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(self.num_units))

    def add(self, samples, block_size=1):
        """Adds the estimates of one batch.

        Args:
            samples: Float array, shape `(batch, num_units)`: one estimate an example.
            block_size: Integer, how many neighbours form one observation.
        """
        samples = np.asarray(samples, np.float64)
        starts = np.arange(0, len(samples), block_size)
        sizes = np.diff(np.append(starts, len(samples)))[:, np.newaxis]
        totals = np.add.reduceat(samples, starts, axis=0)
        self.weight += len(samples)
        self.weight_squared += float(np.sum(sizes**2))
        self.num_blocks += len(starts)
        self.sum += totals.sum(axis=0)
        self.squared_sum += (sizes * totals).sum(axis=0)
        self.sum_of_squares += (totals**2).sum(axis=0)

    @property
    def mean(self):
        """Float array, shape `(num_units,)`."""
        return self.sum / max(self.weight, 1)

    @property
    def standard_error(self):
        """Float array, shape `(num_units,)`; infinite before two observations.

        It is the error against the examples' whole population: it holds both the
        noise of the draws and that of having drawn just these examples.
        """
        if self.num_blocks < 2:
            return np.full(self.num_units, np.inf)
        mean = self.mean
        spread = (
            self.sum_of_squares
            - 2 * mean * self.squared_sum
            + mean**2 * self.weight_squared
        )
        correction = self.num_blocks / (self.num_blocks - 1)
        return np.sqrt(np.maximum(spread, 0) * correction) / self.weight
