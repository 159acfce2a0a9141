"""Shapley values of blocks, exact or sampled, from what coalitions are worth."""

import math

import numpy as np


class AllCoalitions:
    """Exact values: every coalition that lacks at most a share of the blocks.

    Args:
        num_blocks: Integer n.
        window: Float in (0, 1], the share of the blocks that a coalition may lack.
    """

    def __init__(self, num_blocks, window):
        self._most = max(math.ceil(window * num_blocks), 1)
        numbers = np.arange(2**num_blocks)[:, np.newaxis]
        every = (numbers >> np.arange(num_blocks)) & 1 == 1
        self.coalitions = every[(~every).sum(axis=1) <= self._most]

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        return "all coalitions near the whole"

    def estimate(self, worth):
        """Returns the value of each block, and its standard error.

        A block's value is the mean of what is lost with it, over all orders in which
        blocks are removed, as far as these go. The error is that of the examples.

        Args:
            worth: Float array, shape `(num_examples, num_coalitions)`.

        Returns:
            Tuple of two float arrays, shape `(num_blocks,)`.
        """
        place = {c.tobytes(): k for k, c in enumerate(self.coalitions)}
        num_blocks = self.coalitions.shape[1]
        values = np.zeros((len(worth), num_blocks))
        for number, coalition in enumerate(self.coalitions):
            lacking = num_blocks - int(coalition.sum())
            if lacking == self._most:
                continue
            # The chance that, of the orders which remove this block within the window,
            # one removes just the missing ones before it.
            weight = 1 / (math.comb(num_blocks - 1, lacking) * self._most)
            for block in np.flatnonzero(coalition):
                without = coalition.copy()
                without[block] = False
                lost = worth[:, number] - worth[:, place[without.tobytes()]]
                values[:, block] += weight * lost
        return values.mean(axis=0), _error(values)


class Walks:
    """Sampled values: blocks are removed along random orders, for all examples alike.

    Args:
        num_blocks: Integer.
        window: Float in (0, 1], the share of the blocks that are removed.
        num_walks: Integer. They come in pairs: in the second one, the blocks that the
            first one removes early come late.
        seed: Sequence of integers.
    """

    def __init__(self, num_blocks, window, num_walks, seed):
        generator, orders = np.random.default_rng(seed), []
        size = max(math.ceil(window * num_blocks), 1)
        while len(orders) < num_walks:
            order = generator.permutation(num_blocks)
            orders += [order, order[::-1]]
        self._orders = [order[:size] for order in orders[:num_walks]]
        steps = []
        for order in self._orders:
            there = np.ones(num_blocks, bool)
            steps.append(there.copy())
            for block in order:
                there[block] = False
                steps.append(there.copy())
        self.coalitions = np.array(steps)

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        return f"{len(self._orders)} walks near the whole"

    def estimate(self, worth):
        """Returns the value of each block, and its standard error.

        The error is that of the walks, and that of the examples.

        Args:
            worth: Float array, shape `(num_examples, num_coalitions)`.

        Returns:
            Tuple of two float arrays, shape `(num_blocks,)`.
        """
        num_walks, num_blocks = len(self._orders), self.coalitions.shape[1]
        steps = worth.reshape(len(worth), num_walks, -1)
        lost = np.full((len(worth), num_walks, num_blocks), np.nan)
        for walk, order in enumerate(self._orders):
            lost[:, walk, order] = steps[:, walk, :-1] - steps[:, walk, 1:]
        each = np.nanmean(lost, axis=1)  # each pair of walks removes every block
        errors = np.hypot(_error(lost.mean(axis=0)), _error(each))
        return each.mean(axis=0), errors


def _error(samples):
    """Returns the standard error of the mean of each column; NaN is no sample."""
    count = np.sum(~np.isnan(samples), axis=0)
    if (count < 2).any():
        return np.full(samples.shape[1], np.inf)
    return np.nanstd(samples, axis=0, ddof=1) / np.sqrt(count)
