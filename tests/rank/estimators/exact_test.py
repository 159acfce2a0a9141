"""Tests of exact Shapley values."""

import games
import numpy as np
import pytest

from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights


@pytest.mark.parametrize("num_units", [1, 3, 6])
def test_weights_agree_with_the_average_over_all_orders(num_units):
    table = np.random.default_rng(num_units).normal(size=2**num_units)
    powers = 1 << np.arange(num_units)

    def value_of(inside):
        return table[np.asarray(inside, int) @ powers]

    expected = games.exact_values(value_of, num_units)
    values = shapley_weights(num_units).T @ table
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_coalitions_are_in_the_order_of_their_bits():
    coalitions = all_coalitions(3)
    assert coalitions.shape == (8, 3)
    np.testing.assert_array_equal(coalitions[5], [1, 0, 1])
    np.testing.assert_array_equal(coalitions @ [1, 2, 4], np.arange(8))


def test_efficiency():
    table = np.random.default_rng(0).normal(size=2**5)
    values = shapley_weights(5).T @ table
    assert values.sum() == pytest.approx(table[-1] - table[0])
