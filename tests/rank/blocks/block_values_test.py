"""Tests of the values of blocks."""

import itertools

import numpy as np
import pytest

from keras_shapley_prune.rank.blocks.block_values import AllCoalitions, Walks


def _worth(coalitions, num_examples=3, seed=0):
    """A game with pairs that do the same work, a little different for each example."""
    generator = np.random.default_rng(seed)
    num_blocks = coalitions.shape[1]
    alone = generator.normal(size=(num_examples, num_blocks))
    pairs = generator.normal(size=(num_blocks, num_blocks))
    there = coalitions.astype(float)
    return alone @ there.T + np.einsum("ci,ij,cj->c", there, pairs, there)


def _by_orders(num_blocks, most):
    """Returns the values from all orders of removal, one after the other."""
    every = AllCoalitions(num_blocks, 1.0).coalitions
    place = {c.tobytes(): k for k, c in enumerate(every)}
    worth, total = _worth(every).mean(axis=0), np.zeros(num_blocks)
    orders = list(itertools.permutations(range(num_blocks)))
    for order in orders:
        there = np.ones(num_blocks, bool)
        for block in order[:most]:
            before = worth[place[there.tobytes()]]
            there[block] = False
            total[block] += before - worth[place[there.tobytes()]]
    # The mean over those orders in which the block is removed within the window.
    return total / (len(orders) * most / num_blocks)


@pytest.mark.parametrize("window, most", [(1.0, 4), (0.5, 2), (0.1, 1)])
def test_exact_values(window, most):
    found = AllCoalitions(4, window)
    values, errors = found.estimate(_worth(found.coalitions))
    np.testing.assert_allclose(values, _by_orders(4, most))
    assert (errors > 0).all()
    lacking = (~found.coalitions).sum(axis=1)
    assert lacking.max() == most


def test_walks_approach_exact_values():
    exact = AllCoalitions(6, 0.5)
    expected, _ = exact.estimate(_worth(exact.coalitions))
    walks = Walks(6, 0.5, 400, [0, 1])
    values, errors = walks.estimate(_worth(walks.coalitions))
    assert (np.abs(values - expected) < 4 * errors).all()
    assert errors.max() < 1.5


def test_each_pair_of_walks_has_every_block():
    walks = Walks(7, 0.5, 2, [0])
    assert len(walks.coalitions) == 2 * (4 + 1)
    values, errors = walks.estimate(_worth(walks.coalitions))
    assert np.isfinite(values).all() and not np.isfinite(errors).all()


def test_one_block():
    (whole, none) = AllCoalitions(1, 0.5).coalitions[::-1]
    assert whole.all() and not none.any()
