"""Samples of estimates beside samples of their biases, which take turns."""

import itertools
from functools import partial

from keras_shapley_prune.rank.estimators.corrected import CorrectedTable
from keras_shapley_prune.rank.sources import SampleSource


class CorrectedSource(SampleSource):
    """Samples of estimates, and of their biases on some of the examples.

    Both are of the same game on the same network. Their rounds take turns: wherever a
    limit stops them, there are some of each.

    Args:
        estimates: An `OutputSource`.
        biases: An `OutputSource` of the estimator's `correction`.
    """

    def __init__(self, estimates, biases):
        self._estimates, self._biases = estimates, biases
        self.is_shared = estimates.is_shared
        num_rows = [len(source.table.sum) for source in (estimates, biases)]
        super().__init__(CorrectedTable(*num_rows, estimates.num_units))

    def rounds(self, active, stage):
        pairs = itertools.zip_longest(
            self._estimates.rounds(active, stage), self._biases.rounds(active, stage)
        )
        for estimate, bias in pairs:
            if estimate is not None:
                yield estimate
            if bias is not None:
                yield partial(self._draw_bias, bias)

    def _draw_bias(self, draw):
        # Biases have rows of their own, behind those of the estimates.
        rows, *rest = draw()
        return self.table.num_rows + rows, *rest
