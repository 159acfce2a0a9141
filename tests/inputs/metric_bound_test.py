"""Tests of how far a metric may get worse."""

import numpy as np
import pytest

from keras_shapley_prune.inputs.metric_bound import MetricBound


def _bound(values, mode="max", max_drop=0.5):
    """Returns a bound on a metric of which there is a value for each model."""
    values = iter(values)
    return MetricBound(min, mode, None, lambda model: next(values), max_drop)


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_within_and_beyond(mode, sign):
    bound = _bound([1.0 * sign, 0.5 * sign, 0.4 * sign, 3.0 * sign], mode)
    assert bound.worst == 0.5 * sign
    assert [bound.measure(None) for _ in range(3)] == [True, False, True]
    bound.tell(True, "flops")


def test_anything_is_within_an_infinite_drop():
    assert _bound([1.0, -1e30], max_drop=np.inf).measure(None)
    assert not _bound([1.0, np.nan], max_drop=np.inf).measure(None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(value):
    with pytest.raises(ValueError, match="before anything is removed"):
        _bound([value])
    bound = _bound([1.0, 0.9, value])
    assert [bound.measure(None), bound.measure(None)] == [True, False]
    with pytest.warns(UserWarning, match="in 1 of 2 trials"):
        bound.tell(True, "flops")
    bound = _bound([1.0, value])
    bound.measure(None)
    with pytest.raises(ValueError, match="of the pruned models"):
        bound.tell(False, "flops")


def test_why_nothing_can_be_removed():
    bound = _bound([1.0, 2.0], "min")
    bound.measure(None)
    with pytest.warns(UserWarning, match=r"rises by more than max_drop=0\.5"):
        bound.tell(False, "flops")
    with pytest.warns(UserWarning, match="a single step takes more than half"):
        _bound([1.0]).tell(False, "flops")
