"""Tests of the table that takes off what a control variate explains."""

import numpy as np
import pytest

from keras_shapley_prune.rank.controlled_table import ControlledTable
from keras_shapley_prune.rank.table import SampleTable


def _fill(samples, controls):
    """Returns a table of one sample an example."""
    num_rows, num_units = samples.shape
    table = ControlledTable(num_rows, num_units)
    table.add(np.arange(num_rows), samples)
    table.add(num_rows + np.arange(num_rows), controls)
    return table


def _plain(samples):
    table = SampleTable(*samples.shape)
    table.add(np.arange(len(samples)), samples)
    return table


def test_noise_that_is_explained_is_taken_off():
    generator = np.random.default_rng(0)
    controls = generator.normal(size=(200, 8))
    samples = np.arange(8) + 3 * controls + 0.1 * generator.normal(size=(200, 8))
    values, errors = _fill(samples, controls).estimate()
    plain, plain_errors = _plain(samples).estimate()
    assert np.abs(values - np.arange(8)).max() < 0.05
    assert np.abs(plain - np.arange(8)).max() > 0.1
    assert (errors < plain_errors / 10).all()


def test_where_nothing_is_explained_nothing_changes():
    samples = np.arange(24.0).reshape(8, 3)
    table = _fill(samples, np.zeros((8, 3)))
    assert table.coefficients == [0, 0]
    for found, expected in zip(
        table.estimate(), _plain(samples).estimate(), strict=True
    ):
        np.testing.assert_allclose(found, expected)


def test_chance_is_shrunk():
    generator, found = np.random.default_rng(1), []
    for _ in range(200):
        samples, controls = generator.normal(size=(2, 40, 4))
        found += _fill(samples, controls).coefficients
    # A regression would have a deviation of 1 / sqrt(80).
    assert np.std(found) < 0.7 / np.sqrt(80)
    assert found.count(0.0) > 100


def test_the_mean_is_that_without():
    generator = np.random.default_rng(2)
    means = []
    for _ in range(400):
        controls = generator.normal(size=(16, 3))
        # The noise depends on the control variate in more ways than a line.
        samples = 1 + 2 * controls + controls**2 - 1
        means.append(_fill(samples, controls).estimate()[0])
    error = np.std(means, axis=0) / np.sqrt(len(means))
    assert (np.abs(np.mean(means, axis=0) - 1) < 4 * error).all()


def test_each_half_takes_the_coefficient_of_the_other():
    controls = np.ones((8, 2))
    controls[::2] = -1
    samples = controls * np.where(np.arange(8) < 4, 1.0, 5.0)[:, np.newaxis]
    table = _fill(samples, controls)
    assert table.halves.tolist() == [0] * 4 + [1] * 4
    assert table.coefficients == pytest.approx([5, 1])


def test_samples_and_moments_are_adjusted_and_decay_and_forget_work():
    generator = np.random.default_rng(3)
    controls = generator.normal(size=(40, 2))
    samples = 7 + 2 * controls
    table = _fill(samples, controls)
    np.testing.assert_allclose(table.samples, 7, atol=0.2)
    assert table.samples.shape == (40, 2)
    np.testing.assert_allclose(table.moments.mean, table.estimate()[0])
    assert (table.num_rows_of == 40).all()
    table.decay(0.5)
    np.testing.assert_allclose(table.estimate()[0], 7, atol=0.2)
    table.forget([1])
    values, errors = table.estimate()
    assert np.isnan(values[1]) and np.isinf(errors[1])
    assert np.isfinite(values[0])


def test_null_players_and_examples_without_a_weight_keep_their_0():
    generator = np.random.default_rng(4)
    controls = generator.normal(size=(40, 3))
    controls -= controls.mean(axis=1, keepdims=True)
    samples = np.array([1, 2, 3]) + 2 * controls
    samples[:, 0], samples[:4] = 1e-9, 0
    table = _fill(samples, controls)
    assert min(table.coefficients) > 0.5
    values, _ = table.estimate()
    np.testing.assert_allclose(table.samples[:, 0], samples[:, 0])
    assert (table.samples[:4] == 0).all()
    # What they had of the control variate is not missing in the sum.
    np.testing.assert_allclose(values.sum(), samples.mean(axis=0).sum())
