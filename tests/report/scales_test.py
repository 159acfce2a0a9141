"""Tests of the axis of scores."""

import numpy as np
import pytest

from keras_shapley_prune.report.scales import find_limits, find_ticks, format_tick


@pytest.mark.parametrize(
    ("low", "high", "logarithmic"),
    [
        (0, 1, False),
        (-3, 17, False),
        (0.00051, 0.00057, False),
        (1e-9, 5, True),
        (2e-5, 2e-4, True),
        (3, 17, True),
        (1, 1e12, True),
    ],
)
def test_ticks(low, high, logarithmic):
    ticks = find_ticks(low, high, logarithmic)
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(ticks)
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
    assert all(len(format_tick(tick)) <= 8 for tick in ticks)


def test_tick_labels():
    labels = [format_tick(tick) for tick in (0, 0.25, -3, 0.00125, 20000)]
    assert labels == ["0", "0.25", "−3", "1.25e−3", "2e4"]


def test_limits_hold_values_and_their_errors():
    low, high, logarithmic = find_limits(np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    assert low < 0.5 and high > 2.5 and not logarithmic
    assert find_limits(np.array([1.0, 100.0]), np.zeros(2)) == (0.8, 125.0, True)
    assert not find_limits(np.array([-1.0, 100.0]), np.zeros(2))[2]
    assert find_limits(np.array([np.nan]), np.zeros(1)) == (0.0, 1.0, False)


def test_units_that_do_nothing_are_outside_of_the_axis():
    values = np.array([1e-8, 2e-8, 1.0, 2.0, 3.0, 8.0])
    assert find_limits(values, np.zeros(6)) == (0.8, 10.0, True)
