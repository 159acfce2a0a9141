"""Tests of permutation walks."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.ranking.walks import (
    draw_antithetic_ranks,
    walk_marginals,
    walk_values,
)


def _draw(num_examples, num_permutations, num_units, seed=0):
    generator = np.random.default_rng(seed)
    return draw_antithetic_ranks(generator, num_examples, num_permutations, num_units)


@pytest.mark.parametrize(
    ("num_examples", "num_permutations", "num_units"),
    [(4, 1, 5), (5, 1, 5), (4, 2, 6), (3, 3, 4), (1, 1, 3), (1, 4, 1), (2, 2, 1)],
)
def test_every_row_is_a_permutation(num_examples, num_permutations, num_units):
    ranks = _draw(num_examples, num_permutations, num_units)
    assert ranks.shape == (num_permutations, num_examples, num_units)
    assert ranks.dtype == np.int32
    expected = np.broadcast_to(np.arange(num_units), ranks.shape)
    np.testing.assert_array_equal(np.sort(ranks, axis=-1), expected)


def test_neighbouring_examples_walk_in_reverse():
    (ranks,) = _draw(7, 1, 9)
    np.testing.assert_array_equal(ranks[1::2], 8 - ranks[:-1:2])


@pytest.mark.parametrize("num_permutations", [2, 4])
def test_an_even_number_of_walks_pairs_up_within_an_example(num_permutations):
    ranks = _draw(3, num_permutations, 9)
    np.testing.assert_array_equal(ranks[1::2], 8 - ranks[::2])


def test_an_odd_number_of_walks_pairs_up_across_examples():
    ranks = _draw(2, 3, 9)
    np.testing.assert_array_equal(ranks[1, 0], 8 - ranks[0, 0])
    np.testing.assert_array_equal(ranks[0, 1], 8 - ranks[2, 0])
    np.testing.assert_array_equal(ranks[2, 1], 8 - ranks[1, 1])


def test_the_same_seed_gives_the_same_walks_and_another_others():
    np.testing.assert_array_equal(_draw(6, 2, 9, seed=3), _draw(6, 2, 9, seed=3))
    assert (_draw(6, 2, 9, seed=3) != _draw(6, 2, 9, seed=4)).any()


def test_examples_walk_different_permutations():
    (ranks,) = _draw(40, 1, 12)
    assert len(np.unique(ranks, axis=0)) == 40


def test_every_order_is_equally_likely():
    (ranks,) = _draw(24000, 1, 3)
    _, counts = np.unique(ranks, axis=0, return_counts=True)
    assert len(counts) == 6
    np.testing.assert_allclose(counts, 4000, rtol=0.08)


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 7])
def test_marginals_are_what_the_value_falls_by_along_the_walk(fold):
    table = np.random.default_rng(0).normal(size=(2, 2, 2)).astype("float32")

    def value_of(coalitions, copies):
        return tf.gather_nd(table, tf.cast(coalitions, tf.int32))

    orders = list(itertools.permutations(range(3)))
    ranks = tf.constant(np.array([np.argsort(order) for order in orders], "int32"))
    values = walk_values(value_of, ranks, fold)
    assert values.shape == (4, 6)
    marginals = walk_marginals(values, ranks).numpy()
    for row, order in zip(marginals, orders, strict=True):
        inside = [1, 1, 1]
        for unit in order:
            before = table[tuple(inside)]
            inside[unit] = 0
            assert row[unit] == before - table[tuple(inside)]


def test_a_walk_evaluates_every_coalition_of_it_once():
    seen = []

    def value_of(coalitions, copies):
        tf.py_function(lambda c: seen.append(c.numpy()), [coalitions], [])
        return tf.reduce_sum(coalitions, axis=1)

    ranks = tf.constant([[2, 0, 1]])
    marginals = walk_marginals(walk_values(value_of, ranks), ranks)
    np.testing.assert_array_equal(marginals, [[1, 1, 1]])
    expected = [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(np.concatenate(seen), expected)
