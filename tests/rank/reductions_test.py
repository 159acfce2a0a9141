"""Tests of what the values of the examples become."""

import numpy as np
import pytest

from keras_shapley_prune.rank.reductions import reduce_table, resolve_reduction
from keras_shapley_prune.rank.table import SampleTable


def _table(num_rows=25, num_units=3, counted=None):
    samples = np.random.default_rng(0).normal(1.0, 2.0, (num_rows, num_units))
    table = SampleTable(num_rows, num_units)
    table.add(np.arange(num_rows), samples, counted)
    return table, samples


def _reduce(table, reduction):
    return reduce_table(table, resolve_reduction(reduction))


def test_the_mean_is_that_of_the_moments():
    table, samples = _table()
    values, errors = _reduce(table, "mean")
    np.testing.assert_allclose(values, samples.mean(axis=0))
    np.testing.assert_allclose(errors, samples.std(axis=0, ddof=1) / 5)


def test_the_root_mean_square():
    table, samples = _table()
    values, _ = _reduce(table, "rms")
    np.testing.assert_allclose(values, np.sqrt((samples**2).mean(axis=0)))


@pytest.mark.parametrize(
    ("reduction", "factor"),
    [
        ("mean+2std", 2),
        ("mean+0.5std", 0.5),
        ("mean+.5std", 0.5),
        ("mean+std", 1),
        ("mean+10.std", 10),
        ("mean+0std", 0),
    ],
)
def test_the_mean_and_some_deviations(reduction, factor):
    table, samples = _table()
    values, _ = _reduce(table, reduction)
    expected = samples.mean(axis=0) + factor * samples.std(axis=0)
    np.testing.assert_allclose(values, expected)


def test_a_callable_gets_the_samples():
    table, samples = _table()
    values, errors = _reduce(table, lambda s: np.quantile(s, 0.9, axis=0))
    np.testing.assert_allclose(values, np.quantile(samples, 0.9, axis=0))
    assert (errors > 0).all()


def test_the_jackknife_of_the_mean_is_its_standard_error():
    table, _ = _table()
    values, errors = _reduce(table, lambda s: s.mean(axis=0))
    expected, expected_errors = _reduce(table, "mean")
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(errors, expected_errors)


@pytest.mark.parametrize("reduction", ["rms", "mean+2std"])
def test_the_jackknife_is_the_spread_over_repetitions(reduction):
    generator = np.random.default_rng(1)
    found = []
    for _ in range(100):
        table = SampleTable(40, 1)
        table.add(np.arange(40), generator.normal(1.0, 2.0, (40, 1)))
        found.append(_reduce(table, reduction))
    values, errors = np.array(found)[..., 0].T
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)


@pytest.mark.parametrize("reduction", ["rms", "mean+2std", "mean+std"])
def test_examples_that_lack_a_unit_are_left_out(reduction):
    counted = np.random.default_rng(2).random((25, 3)) < 0.7
    table, samples = _table(counted=counted)
    values, errors = _reduce(table, reduction)
    for unit in range(3):
        own = samples[counted[:, unit], unit, np.newaxis]
        alone = SampleTable(len(own), 1)
        alone.add(np.arange(len(own)), own)
        expected, expected_error = _reduce(alone, reduction)
        assert values[unit] == pytest.approx(expected[0])
        assert errors[unit] == pytest.approx(expected_error[0], rel=0.05)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reduction", ["mean", "rms", "mean+2std"])
def test_a_unit_without_samples_has_no_value_and_warns_of_nothing(reduction):
    counted = np.ones((25, 3), bool)
    counted[:, 1] = False
    table, _ = _table(counted=counted)
    values, errors = _reduce(table, reduction)
    np.testing.assert_array_equal(np.isnan(values), [False, True, False])
    assert not np.isfinite(errors[1])
    assert np.isfinite(errors[[0, 2]]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reduction", ["mean", "rms", "mean+2std"])
def test_a_unit_of_one_example_has_a_value_of_unknown_error(reduction):
    counted = np.ones((25, 3), bool)
    counted[1:, 1] = False
    table, _ = _table(counted=counted)
    values, errors = _reduce(table, reduction)
    assert np.isfinite(values).all()
    assert not np.isfinite(errors[1])


@pytest.mark.parametrize("reduction", ["mean", "rms", "mean+2std"])
def test_one_example_has_no_standard_error(reduction):
    table, samples = _table(1)
    values, errors = _reduce(table, reduction)
    np.testing.assert_allclose(np.abs(values), np.abs(samples[0]))
    assert np.isinf(errors).all()


@pytest.mark.parametrize(
    "reduction",
    ["median", "mean+", "mean+2", "2std", "mean-std", "mean+-2std", "", None, 3, []],
)
def test_unknown_reductions(reduction):
    with pytest.raises(ValueError, match="Argument `reduction` should be") as info:
        resolve_reduction(reduction)
    assert f"Received: reduction={reduction!r}" in str(info.value)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (np.mean, "()"),
        (lambda s: s.mean(axis=1), "(25,)"),
        (lambda s: s, "(25, 3)"),
        (lambda s: s.mean(axis=0)[:2], "(2,)"),
    ],
)
def test_a_callable_that_returns_another_shape(function, shape):
    table, _ = _table()
    with pytest.raises(ValueError, match=r"for each unit, shape \(3,\)") as info:
        _reduce(table, function)
    assert f"Received: shape {shape}" in str(info.value)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_reduction_that_is_not_finite(number):
    table, _ = _table()
    with pytest.raises(ValueError, match=r"`reduction` should return finite .* unit 1"):
        _reduce(table, lambda samples: np.array([1.0, number, 1.0]))
