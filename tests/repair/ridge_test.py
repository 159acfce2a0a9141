import numpy as np
import pytest

from keras_shapley_prune.repair.ridge import RIDGE, RidgeSystem, solve_towards


def moments(columns=5, outputs=3, count=200, seed=0, noise=0.0):
    """Returns `(x, y, weights)` with `y = x @ weights` and noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, columns))
    x = x @ generator.normal(size=(columns, columns))
    weights = generator.normal(size=(columns, outputs))
    y = x @ weights + noise * generator.normal(size=(count, outputs))
    return x, y, weights


def solve(x, y, prior, ridge=RIDGE):
    return solve_towards(x.T @ x / len(x), x.T @ y / len(x), prior, ridge)


def test_a_tiny_ridge_recovers_the_weights():
    x, y, weights = moments()
    found = solve(x, y, np.zeros_like(weights), ridge=1e-12)
    np.testing.assert_allclose(found, weights, atol=1e-6)


def test_a_huge_ridge_gives_the_prior():
    x, y, weights = moments()
    prior = np.random.default_rng(1).normal(size=weights.shape)
    np.testing.assert_allclose(solve(x, y, prior, ridge=1e9), prior, atol=1e-6)


def test_a_prior_that_fits_stays():
    x, y, weights = moments()
    np.testing.assert_allclose(solve(x, y, weights), weights, atol=1e-10)


def test_the_result_is_the_minimum():
    x, y, weights = moments(noise=0.5)
    prior = np.random.default_rng(1).normal(size=weights.shape)
    strength = RIDGE * (x**2).mean()

    def loss(w):
        error = ((y - x @ w) ** 2).mean(axis=0).sum()
        return error + strength * ((w - prior) ** 2).sum()

    found = solve(x, y, prior)
    for index in np.ndindex(*weights.shape):
        for step in (-1e-3, 1e-3):
            moved = found.copy()
            moved[index] += step
            assert loss(moved) > loss(found)


def test_the_scale_of_the_data_does_not_matter():
    x, y, weights = moments(noise=0.5)
    prior = np.random.default_rng(1).normal(size=weights.shape)
    np.testing.assert_allclose(
        solve(1e-3 * x, 1e-3 * y, prior), solve(x, y, prior), rtol=1e-6
    )


def test_a_constant_input_gives_the_prior():
    prior = np.random.default_rng(0).normal(size=(4, 2))
    found = solve_towards(np.zeros((4, 4)), np.zeros((4, 2)), prior)
    np.testing.assert_array_equal(found, prior)
    found += 1
    assert not np.array_equal(found, prior)


def test_a_constant_column_keeps_its_prior():
    x, y, weights = moments()
    x[:, 2] = 0
    y = x @ weights
    prior = np.random.default_rng(1).normal(size=weights.shape)
    found = solve(x, y, prior, ridge=1e-8)
    np.testing.assert_allclose(found[2], prior[2], atol=1e-9)
    np.testing.assert_allclose(x @ found, y, atol=1e-4)


@pytest.mark.parametrize("ridge", [RIDGE, 1e-8])
def test_equal_columns_share_what_is_to_do(ridge):
    x, y, weights = moments()
    x = np.concatenate([x, x], axis=1)
    prior = np.concatenate([weights, np.zeros_like(weights)])
    found = solve(x, y + x[:, :5] @ weights, prior, ridge)  # twice the weights
    first, second = found - prior, found[5:]
    np.testing.assert_allclose(first[:5], second, atol=1e-6)
    if ridge == 1e-8:
        np.testing.assert_allclose(second, weights / 2, atol=1e-4)


def test_more_columns_than_rows_are_fitted():
    x, y, weights = moments(columns=30, count=10)
    found = solve(x, y, np.zeros_like(weights), ridge=1e-9)
    np.testing.assert_allclose(x @ found, y, atol=1e-4)


def test_one_factorization_solves_for_any_targets():
    x, y, weights = moments()
    xx, xy, prior = x.T @ x / len(x), x.T @ y / len(x), np.ones_like(weights)
    system = RidgeSystem(xx, 0.1)
    assert system.strength == pytest.approx(0.1 * np.diag(xx).mean())
    for factor in (1, -2):
        np.testing.assert_allclose(
            system.solve(factor * xy, factor * prior),
            solve_towards(xx, factor * xy, factor * prior, 0.1),
        )
    # What the targets change by changes the weights by a solution towards 0.
    np.testing.assert_allclose(
        system.solve(3 * xy, prior),
        system.solve(xy, prior) + system.solve(2 * xy, np.zeros_like(prior)),
    )
