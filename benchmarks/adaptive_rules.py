"""Rules of which units are sampled on, and a ranking that follows one: simulated."""

import itertools

import adaptive_games
import numpy as np
from scipy.special import ndtr

from keras_shapley_prune.rank.table import SampleTable

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def within(width):
    """Returns the rule that units within so many standard errors are open."""
    return lambda distances, errors, counts, later: distances < width * errors


def by_gain(gain_of, later_cost):
    """Returns the rule that opens the units that gain most for each evaluation.

    Args:
        gain_of: Callable: distances to the cut, their standard errors, and what these
            will be -> what a unit gains.
        later_cost: Callable: share of units -> share of the evaluations.
    """

    def choose(distances, errors, counts, later):
        errors = np.maximum(errors, 1e-15)
        after = errors * np.sqrt(counts / (counts + later))
        gains = gain_of(distances, errors, after)
        order, shares = np.argsort(-gains), np.arange(1, len(gains) + 1) / len(gains)
        best = np.argmax(np.cumsum(gains[order]) / later_cost(shares, len(gains)))
        return np.isin(np.arange(len(gains)), order[: best + 1])

    return choose


def fewer_wrong(distances, errors, after):
    """Returns by how much the probability falls that a unit is on the wrong side."""
    moves = np.sqrt(np.maximum(errors**2 - after**2, 0))
    moved = np.abs(distances + moves * _NODES[:, np.newaxis])
    return ndtr(-distances / errors) - _WEIGHTS @ ndtr(-moved / after)


def less_regret(distances, errors, after):
    """Returns the value of information (knowledge gradient) of a unit's samples."""
    moves = np.sqrt(np.maximum(errors**2 - after**2, 1e-30))
    scaled = distances / moves
    density = np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)
    return moves * (density - scaled * ndtr(-scaled))


def walk_cost(shares, size):
    """Returns the coalitions before and after so many units of a walk."""
    return 1 + (size - 1) * (1 - (1 - shares) ** 2)


def neighbour_cost(shares, size):
    """Returns the coalitions of so many neighbours."""
    return 1 + shares * size


# Name -> rule, kind of the first draws, kind of the later ones, and the share of the
# examples before the rule is applied.
RULES = {
    "permutation": (None, "walk", "walk", 0.25),
    "all neighbours": (None, "neighbours", "neighbours", 0.25),
    "walks, 1.5 errors": (within(1.5), "walk", "walk", 0.25),
    "walks, 2 errors": (within(2), "walk", "walk", 0.25),
    "walks, 3 errors": (within(3), "walk", "walk", 0.25),
    "walks, fewer wrong": (by_gain(fewer_wrong, walk_cost), "walk", "walk", 0.25),
    "walks, less regret": (by_gain(less_regret, walk_cost), "walk", "walk", 0.25),
    "walks, 2 errors, after all examples": (within(2), "walk", "walk", 1),
    "neighbours, 1.5 errors": (within(1.5), "walk", "neighbours", 0.25),
    "neighbours, 2 errors": (within(2), "walk", "neighbours", 0.25),
    "neighbours, 3 errors": (within(3), "walk", "neighbours", 0.25),
    "neighbours, fewer wrong": (
        by_gain(fewer_wrong, neighbour_cost),
        "walk",
        "neighbours",
        0.25,
    ),
    "neighbours, less regret": (
        by_gain(less_regret, neighbour_cost),
        "walk",
        "neighbours",
        0.25,
    ),
    "neighbours, 2 errors, after all examples": (within(2), "walk", "neighbours", 1),
    "neighbours from the start, 2 errors": (
        within(2),
        "neighbours",
        "neighbours",
        0.25,
    ),
}
BUILT = "neighbours, 2 errors"


class Run:
    """One simulated ranking.

    Args:
        game: An `ExactGame` or a `RecordedGame`.
        rule: One of `RULES`.
        num_removed: Integer.
        walks: Float, the evaluations that may be spent.
        generator: A `numpy.random.Generator`.
        replace: Boolean, whether examples are drawn with replacement.
    """

    def __init__(self, game, rule, num_removed, walks, generator, replace=False):
        self._game, self._num_removed, self._generator = game, num_removed, generator
        self._choose, self._first, self._later, share = rule
        self._fewest = share * game.num_examples
        self._left = walks * game.num_examples * (game.num_units + 1)
        self._has_ends = np.zeros(game.num_examples, bool)
        self.table = SampleTable(game.num_examples, game.num_units)
        game.start(generator, replace)

    def play(self):
        """Draws until nothing is left, and returns the table."""
        batches = np.arange(self._game.num_examples)
        batches = np.split(batches, len(batches) // adaptive_games.BATCH)
        for draw, rows in enumerate(itertools.cycle(batches)):
            seen = draw * adaptive_games.BATCH
            sampled = self._find_sampled(seen)
            try:
                samples, cost = self._draw(rows, sampled, seen)
            except IndexError:  # there are no more recorded draws
                break
            if cost <= 0 or self._left <= 0:
                break
            # The last batch is drawn for as many of its examples as can be paid for.
            kept = self._generator.permutation(len(rows))
            kept = kept[: int(len(rows) * min(self._left / cost, 1))]
            counted = np.broadcast_to(sampled, samples.shape)
            self.table.add(rows[kept], samples[kept], counted[kept])
            self._left -= cost
        return self.table

    def _find_sampled(self, seen):
        if self._choose is None or seen < self._fewest:
            return np.ones(self._game.num_units, bool)
        values, errors = self.table.estimate()
        cut = np.sort(values)[self._num_removed - 1 : self._num_removed + 1].mean()
        counts = self.table.count.sum(axis=0)
        distances = np.abs(values - cut)
        return self._choose(distances, errors, counts, adaptive_games.BATCH)

    def _draw(self, rows, sampled, seen):
        """Returns the samples of a batch, and what they cost."""
        is_later = self._choose is not None and seen >= self._fewest
        if not sampled.any():
            return None, 0
        if (self._later if is_later else self._first) == "neighbours":
            return self._game.neighbours(rows), len(rows) * (1 + sampled.sum())
        ranks, samples = self._game.walk(rows)
        needed = np.zeros((len(rows), ranks.shape[1] + 1), bool)
        for step in (ranks[:, sampled], ranks[:, sampled] + 1):
            np.put_along_axis(needed, step, True, axis=1)
        # The ends tell which example gets which walk.
        needed[:, [0, -1]] = ~self._has_ends[rows, np.newaxis]
        self._has_ends[rows] = True
        return samples, needed.sum()
