"""The running state of an estimate: sums, and nothing but sums."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class ExampleMoments:
    """Sums over blocks of examples, for draws of each example's own.

    An observation is the average over a block of examples whose draws belong
    together (an antithetic pair is never split). But for the two sizes everything is
    a sum: two states of different examples add up field by field.

    Attributes:
        num_units: Integer.
        block_size: Integer, how many neighbours of a batch form one observation.
        num_examples: Integer, so far.
        num_samples: Integer, examples times draws, so far.
        num_blocks: Integer, observations so far.
        squared_sizes: Integer, the sum of the squared block sizes.
        sum: Float array, shape `(num_units,)`: block size times observation.
        weighted_sum: The same, times the block size once more.
        sum_of_squares: Squares of block size times observation.
    """

    num_units: int
    block_size: int = 1
    num_examples: int = 0
    num_samples: int = 0
    num_blocks: int = 0
    squared_sizes: int = 0
    sum: np.ndarray = None
    weighted_sum: np.ndarray = None
    sum_of_squares: np.ndarray = None

    def __post_init__(self):
        for name in ("sum", "weighted_sum", "sum_of_squares"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(self.num_units))

    def add(self, samples):
        """Adds the estimates of one batch.

        Args:
            samples: Float array, shape `(num_draws, batch, num_units)`.
        """
        per_example = np.mean(samples, axis=0, dtype=np.float64)
        starts = np.arange(0, len(per_example), self.block_size)
        sizes = np.diff(np.append(starts, len(per_example)))[:, np.newaxis]
        totals = np.add.reduceat(per_example, starts, axis=0)
        self.num_examples += len(per_example)
        self.num_samples += len(samples) * len(per_example)
        self.num_blocks += len(starts)
        self.squared_sizes += int(np.sum(sizes**2))
        self.sum += totals.sum(axis=0)
        self.weighted_sum += (sizes * totals).sum(axis=0)
        self.sum_of_squares += (totals**2).sum(axis=0)

    @property
    def mean(self):
        """Float array, shape `(num_units,)`."""
        return self.sum / max(self.num_examples, 1)

    @property
    def standard_error(self):
        """Float array, shape `(num_units,)`; infinite before two observations.

        It is the error against the population the examples are drawn from: it holds
        both the noise of the draws and that of having drawn just these examples.
        """
        if self.num_blocks < 2:
            return np.full(self.num_units, np.inf)
        mean = self.mean
        spread = (
            self.sum_of_squares
            - 2 * mean * self.weighted_sum
            + mean**2 * self.squared_sizes
        )
        correction = self.num_blocks / (self.num_blocks - 1)
        return np.sqrt(np.maximum(spread, 0) * correction) / self.num_examples


@dataclasses.dataclass
class DrawMoments:
    """Sums over examples for each draw, for draws that all examples share.

    Attributes:
        num_units: Integer.
        num_draws: Integer.
        num_examples: Integer, so far.
        sum: Float array, shape `(num_draws, num_units)`.
    """

    num_units: int
    num_draws: int
    num_examples: int = 0
    sum: np.ndarray = None

    def __post_init__(self):
        if self.sum is None:
            self.sum = np.zeros((self.num_draws, self.num_units))

    def add(self, samples):
        """Adds the estimates of one batch, `(num_draws, batch, num_units)`."""
        self.num_examples += samples.shape[1]
        self.sum += np.sum(samples, axis=1, dtype=np.float64)

    @property
    def num_samples(self):
        """Integer, examples times draws so far."""
        return self.num_examples * self.num_draws

    @property
    def mean(self):
        """Float array, shape `(num_units,)`."""
        return self.sum.mean(axis=0) / max(self.num_examples, 1)

    @property
    def standard_error(self):
        """Float array, shape `(num_units,)`, from the spread over the draws.

        Infinite with one draw. It is the error against the exact values on these
        very examples.
        """
        if self.num_draws < 2:
            return np.full(self.num_units, np.inf)
        deviation = self.sum.std(axis=0, ddof=1) / self.num_examples
        return deviation / np.sqrt(self.num_draws)
