"""Tests of the table of samples and of its sums."""

import numpy as np
import pytest

from keras_shapley_prune.rank.table import SampleTable


def _filled(samples, counted=None):
    table = SampleTable(*samples.shape)
    table.add(np.arange(len(samples)), samples, counted)
    return table


def _samples(num_rows=30, num_units=4, seed=0):
    return np.random.default_rng(seed).normal(2.0, 1.0, (num_rows, num_units))


def test_one_sample_a_row_gives_the_usual_mean_and_standard_error():
    samples = _samples()
    moments = _filled(samples).moments
    np.testing.assert_allclose(moments.mean, samples.mean(axis=0))
    expected = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    np.testing.assert_allclose(moments.standard_error, expected)
    np.testing.assert_array_equal(moments.rows, 30)
    np.testing.assert_array_equal(moments.count, 30)


def test_several_samples_a_row_count_as_their_mean():
    first, second = _samples(seed=1), _samples(seed=2)
    table = _filled(first)
    table.add(np.arange(30), second)
    means = (first + second) / 2
    np.testing.assert_allclose(table.samples, means)
    np.testing.assert_allclose(table.moments.mean, means.mean(axis=0))
    expected = means.std(axis=0, ddof=1) / np.sqrt(30)
    np.testing.assert_allclose(table.moments.standard_error, expected)
    np.testing.assert_array_equal(table.moments.count, 60)


def test_rows_that_come_twice_in_a_batch_add_up():
    table = SampleTable(3, 2)
    table.add(np.array([1, 1, 2]), np.array([[1.0, 2], [3, 4], [5, 6]]))
    np.testing.assert_array_equal(table.count[:, 0], [0, 2, 1])
    np.testing.assert_array_equal(table.samples, [[2, 3], [5, 6]])


def test_each_unit_has_the_rows_that_sampled_it():
    samples = _samples()
    counted = np.random.default_rng(3).random(samples.shape) < 0.6
    table = _filled(samples, counted)
    for unit in range(4):
        own = samples[counted[:, unit], unit]
        moments = table.moments
        assert moments.rows[unit] == len(own)
        assert moments.mean[unit] == pytest.approx(own.mean())
        expected = own.std(ddof=1) / np.sqrt(len(own))
        assert moments.standard_error[unit] == pytest.approx(expected)
    used = counted.any(axis=1)  # the others are left out
    np.testing.assert_array_equal(np.isnan(table.samples), ~counted[used])


def test_what_is_not_counted_may_be_anything():
    samples = _samples(5)
    counted = np.ones(samples.shape, bool)
    counted[2, 1] = False
    expected = _filled(samples, counted).moments
    samples[2, 1] = np.nan
    found = _filled(samples, counted).moments
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.standard_error, expected.standard_error)


def test_the_ratio_estimator_of_uneven_rows():
    table = SampleTable(3, 1)
    table.add(np.array([0, 0, 1, 2]), np.array([[1.0], [3], [5], [8]]))
    moments = table.moments
    assert moments.mean[0] == pytest.approx(17 / 4)
    residuals = np.array([4, 5, 8]) - 17 / 4 * np.array([2, 1, 1])
    expected = np.sqrt((residuals**2).sum() * 3 / 2) / 4
    assert moments.standard_error[0] == pytest.approx(expected)


def test_the_standard_error_is_that_of_repeated_sampling():
    generator = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(600):
        samples = generator.normal(1.0, 2.0, (40, 1))
        counted = generator.random(samples.shape) < 0.5
        moments = _filled(samples, counted).moments
        means.append(moments.mean[0])
        errors.append(moments.standard_error[0])
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_without_a_sample_there_is_no_mean_and_no_bound_on_its_error():
    table = SampleTable(4, 3)
    counted = np.array([[True, False, True], [True, False, False]])
    table.add(np.array([0, 1]), np.ones((2, 3)), counted)
    moments = table.moments
    np.testing.assert_array_equal(moments.mean, [1, np.nan, 1])
    np.testing.assert_array_equal(moments.standard_error, [0, np.inf, np.inf])
    np.testing.assert_array_equal(moments.rows, [2, 0, 1])
    assert table.samples.shape == (2, 3)


def test_an_empty_table():
    table = SampleTable(4, 2)
    assert table.samples.shape == (0, 2)
    assert np.isnan(table.moments.mean).all()
    assert np.isinf(table.moments.standard_error).all()


def test_decay_weighs_what_came_before_less():
    first, second = _samples(seed=1), _samples(seed=2)
    table = _filled(first)
    table.decay(0.5)
    table.add(np.arange(30), second)
    expected = (0.5 * first + second) / 1.5
    np.testing.assert_allclose(table.samples, expected)
    np.testing.assert_allclose(table.moments.mean, expected.mean(axis=0))


def test_decay_alone_moves_neither_mean_nor_error():
    table = _filled(_samples())
    before = table.moments
    table.decay(0.3)
    np.testing.assert_allclose(table.moments.mean, before.mean)
    np.testing.assert_allclose(table.moments.standard_error, before.standard_error)


def test_decay_to_nothing_forgets():
    table = _filled(_samples())
    table.decay(0.0)
    table.add(np.array([3, 7]), np.array([[1.0] * 4, [3.0] * 4]))
    np.testing.assert_array_equal(table.moments.mean, 2)
    np.testing.assert_array_equal(table.moments.rows, 2)
