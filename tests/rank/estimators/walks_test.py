"""Tests of permutation walks."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.rank.estimators import Permutation
from keras_shapley_prune.rank.estimators.walks import (
    OUT,
    count_steps,
    counted_ranks,
    draw_ranks,
    walk_marginals,
)
from keras_shapley_prune.rank.sampled.game import CoalitionValues


def _draw(num_examples, num_units, seed=0, **arguments):
    generator = np.random.default_rng(seed)
    active = arguments.pop("active", np.ones(num_units, bool))
    return draw_ranks(generator, num_examples, active, **arguments)


@pytest.mark.parametrize(
    ("num_examples", "num_units"), [(4, 5), (5, 5), (1, 3), (4, 1), (2, 1)]
)
def test_every_row_is_a_permutation(num_examples, num_units):
    ranks = _draw(num_examples, num_units)
    assert ranks.shape == (num_examples, num_units)
    assert ranks.dtype == np.int32
    expected = np.broadcast_to(np.arange(num_units), ranks.shape)
    np.testing.assert_array_equal(np.sort(ranks, axis=-1), expected)


@pytest.mark.parametrize("num_units", [8, 9])
def test_four_walks_balance_each_other(num_units):
    ranks = _draw(8, num_units)
    last = num_units - 1
    np.testing.assert_array_equal(ranks[1::2], last - ranks[::2])
    swapped = (ranks[::4] + num_units // 2) % num_units
    np.testing.assert_array_equal(ranks[2::4], swapped)


@pytest.mark.parametrize("num_draws", [1, 2, 3, 4, 5])
def test_blocks_run_over_the_draws_of_an_example_first(num_draws):
    estimator = Permutation(num_draws)
    active = np.ones(9, bool)
    ranks = [estimator.draw([0, 1, 0, d, 3], 4, active) for d in range(num_draws)]
    one_after_the_other = np.stack(ranks, axis=1).reshape(-1, 9)
    reverses = 8 - one_after_the_other[: len(one_after_the_other) // 2 * 2 : 2]
    np.testing.assert_array_equal(one_after_the_other[1::2], reverses)


@pytest.mark.parametrize("window", [0.01, 0.3, 0.5, 1.0])
def test_a_window_removes_the_first_units_of_a_permutation(window):
    active = np.arange(12) % 4 != 1
    ranks = _draw(10, 12, active=active, window=window)
    size = max(round(window * 9), 1)
    assert (ranks[:, ~active] == OUT).all()
    counted = counted_ranks(ranks)
    assert not counted[:, ~active].any()
    assert (counted.sum(axis=1) == size).all()
    for row in ranks:
        np.testing.assert_array_equal(np.sort(row[row != OUT])[:size], range(size))
        assert (row[active & ~counted_ranks(row[np.newaxis])[0]] == 12).all()
    assert int(count_steps(tf.constant(ranks))) == size


def test_a_window_looks_from_both_ends():
    whole, part = _draw(2, 9), _draw(2, 9, window=1 / 3)
    assert set(np.flatnonzero(part[0] < 9)) == set(np.flatnonzero(whole[0] < 3))
    assert set(np.flatnonzero(part[1] < 9)) == set(np.flatnonzero(whole[0] > 5))


def test_the_same_seed_gives_the_same_walks_and_another_others():
    np.testing.assert_array_equal(_draw(6, 9, seed=3), _draw(6, 9, seed=3))
    assert (_draw(6, 9, seed=3) != _draw(6, 9, seed=4)).any()


def test_examples_walk_different_permutations():
    assert len(np.unique(_draw(40, 12), axis=0)) == 40


def test_every_order_is_equally_likely():
    _, counts = np.unique(_draw(24000, 3), axis=0, return_counts=True)
    assert len(counts) == 6
    np.testing.assert_allclose(counts, 4000, rtol=0.08)


class _Known(CoalitionValues):
    def __init__(self, value_of, batch, fold):
        super().__init__(None, None, (), batch, tf.constant(fold))
        self._value_of = value_of

    def __call__(self, coalitions, copies=1):
        return self._value_of(coalitions, copies)


def _walk(value_of, ranks, fold=1, ends=None):
    return _Known(value_of, tf.shape(ranks)[0], fold).walk(ranks, ends)


def test_a_window_ends_where_it_ends():
    table = np.random.default_rng(0).normal(size=(2, 2, 2)).astype("float32")

    def value_of(coalitions, copies):
        return tf.gather_nd(table, tf.cast(coalitions, tf.int32))

    ranks = tf.constant([[0, 3, 3], [3, OUT, 0]])
    values = _walk(value_of, ranks, 4).numpy()
    assert values.shape == (2, 2)
    np.testing.assert_allclose(values[:, 0], [table[1, 1, 1], table[0, 1, 1]])
    np.testing.assert_allclose(values[:, 1], [table[1, 0, 1], table[1, 0, 0]])


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 7])
def test_marginals_are_what_the_value_falls_by_along_the_walk(fold):
    table = np.random.default_rng(0).normal(size=(2, 2, 2)).astype("float32")

    def value_of(coalitions, copies):
        return tf.gather_nd(table, tf.cast(coalitions, tf.int32))

    orders = list(itertools.permutations(range(3)))
    ranks = tf.constant(np.array([np.argsort(order) for order in orders], "int32"))
    values = _walk(value_of, ranks, fold)
    assert values.shape == (4, 6)
    ends = values[0], values[-1]
    np.testing.assert_array_equal(_walk(value_of, ranks, fold, ends), values)
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
    marginals = walk_marginals(_walk(value_of, ranks), ranks)
    np.testing.assert_array_equal(marginals, [[1, 1, 1]])
    expected = [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(np.concatenate(seen), expected)
