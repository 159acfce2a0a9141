"""Estimators of the reconstruction game, in which a whole walk is one factorization."""

import dataclasses
from functools import partial

import numpy as np

from keras_shapley_prune.rank.estimators.estimator import Estimator, counted_noun


class ClosedFormEstimator(Estimator):
    """An estimator of games that can say what removals cost, in closed form.

    Attributes:
        num_walks: Integer, how many factorizations a stage needs.
    """

    takes_reduction = False  # the moments are those of all examples

    def num_rows(self, num_stages):
        """Returns how many rows of a table the samples of all stages need."""
        raise NotImplementedError

    def num_evaluations(self, num_players):
        """Returns how many coalitions a stage evaluates.

        Args:
            num_players: Integer, how many units a walk removes.
        """
        raise NotImplementedError

    def rounds(self, games, players, num_units, key):
        """Draws the samples of a stage.

        Args:
            games: List of `ReconstructionGame`, whose costs are added.
            players: Integer array, the units that are removed.
            num_units: Integer, of the group.
            key: List of integers `[seed, group, stage]`: a random stream for each.

        Yields:
            See `SampleSource.rounds`.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, repr=False)
class ClosedFormPermutation(ClosedFormEstimator):
    """Walks along random permutations, in antithetic pairs, without evaluations.

    The costs of a whole walk are the squared rows of one triangular solve (see
    `closed_form/game.py`; Hassibi and Stork 1992 for a single weight). A permutation
    and its reverse make a pair (Mitchell et al. 2022, arXiv:2104.12199). The standard
    errors hold the noise of the draws, not that of the examples.

    The network is not run. A draw costs two factorizations for each layer that reads
    the group, of a matrix that has as many rows as the layer has columns for the
    units that are walked.

    Args:
        num_draws: Integer, how many pairs of permutations are walked in each stage.
        decay: Float in [0, 1], what the samples of a stage weigh in the next one.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    walks = keras_shapley_prune.estimators.ClosedFormPermutation(num_draws=8)
    ranker = keras_shapley_prune.ShapleyRanker("reconstruction", walks)
    ```
    """

    num_draws: int = 2
    decay: float = 0.0

    @property
    def num_walks(self):
        """Integer, two for each draw."""
        return 2 * self.num_draws

    def describe(self):
        return f"{counted_noun(self.num_draws, 'pair')} of permutations"

    def num_rows(self, num_stages):
        return self.num_draws * num_stages

    def num_evaluations(self, num_players):
        return self.num_walks * num_players

    def rounds(self, games, players, num_units, key):
        for draw in range(self.num_draws):
            yield partial(self._walk, games, players, num_units, [*key, draw])

    def _walk(self, games, players, num_units, key):
        *_, stage, draw = key
        order = np.random.default_rng(key).permutation(players)
        samples = np.zeros((2, num_units))
        counted = np.zeros(samples.shape, bool)
        for walk, removed in enumerate((order, order[::-1])):
            samples[walk, removed] = sum(game.walk(removed) for game in games)
            counted[walk, removed] = True
        # The two of a pair depend on each other, so they share a row of the table:
        # standard errors come from the spread over rows.
        row = stage * self.num_draws + draw
        return np.array([row, row]), samples, counted, 2 * len(players)


@dataclasses.dataclass(frozen=True, repr=False)
class ClosedFormLeaveOneOut(ClosedFormEstimator):
    """What the removal of each unit alone costs: the optimal brain surgeon."""

    num_walks = 1
    decay = 0.0
    reads_value = True

    def describe(self):
        return "optimal brain surgeon"

    def describe_values(self, game):
        return f"Greedy cost of removal in {game.describe()}, {self.describe()}"

    def num_rows(self, num_stages):
        return 1

    def num_evaluations(self, num_players):
        return num_players

    def rounds(self, games, players, num_units, key):
        yield partial(self._look, games, players, num_units)

    def _look(self, games, players, num_units):
        samples, counted = np.zeros((1, num_units)), np.zeros((1, num_units), bool)
        samples[0, players] = sum(game.leave_one_out(players) for game in games)
        counted[0, players] = True
        return np.array([0]), samples, counted, len(players)
