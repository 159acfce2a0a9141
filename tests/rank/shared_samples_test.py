"""Tests of rankings that are shared out to devices and processes."""

import numpy as np
import pytest
import spread
import spread_rank

NIGHTLY = [
    pytest.param(strategy, (), marks=pytest.mark.slow) for strategy in spread.STRATEGIES
]


@pytest.mark.parametrize(
    ("strategy", "names"),
    [("workers-2", spread_rank.FIRST), *NIGHTLY],
)
def test_rankings_are_those_of_one_device(strategy, names, tmp_path):
    processes = spread.start_all("spread_rank", tmp_path, strategy, *names)
    expected = spread_rank.main(*names)
    spread.finish(processes)
    for task in range(len(processes)):
        found = spread.load(tmp_path, strategy, task)
        assert found.keys() == expected.keys()
        for name, array in found.items():
            # Values are differences of numbers of about 1, in single precision: batches
            # of another size are rounded in another way.
            largest = np.abs(expected[name][np.isfinite(expected[name])]).max(initial=0)
            bounds = {"rtol": 1e-6, "atol": 1e-6 * largest + 1e-8}
            np.testing.assert_allclose(array, expected[name], **bounds, err_msg=name)
    for task in range(1, len(processes)):
        other = spread.load(tmp_path, strategy, task)
        first = spread.load(tmp_path, strategy)
        for name, array in first.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)
