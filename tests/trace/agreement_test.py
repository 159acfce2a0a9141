"""Tests of comparing outputs up to rounding."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.trace.agreement import describe_difference


@pytest.mark.parametrize(
    ("expected", "received", "differ"),
    [
        ([1.0, 1000.0], [1.05, 1000.0], False),  # of the largest number, not of each
        ([1.0, 1000.0], [1.0, 1000.2], True),
        ([0.0, 0.0], [0.0, 0.0], False),
        ([0.0, 0.0], [0.0, 1e-9], True),
        ([np.nan, np.inf, 1.0], [np.nan, np.inf, 1.0], False),
        ([np.nan, 1.0], [1.0, 1.0], True),
        ([1.0, 1.0], [np.nan, 1.0], True),
        ([np.inf, 1.0], [np.inf, 1.01], True),  # infinity does not hide the rest
    ],
)
def test_arrays(expected, received, differ):
    found = describe_difference(np.array(expected), np.array(received), 1e-4)
    assert (found is not None) == differ


def test_what_is_said():
    found = describe_difference(np.array([1.0, 4.0]), np.array([1.0, 3.5]), 1e-4)
    assert found == "outputs of up to 4 that differ by up to 0.5"
    found = describe_difference(np.ones((2, 3)), np.ones((2, 4)), 1e-4)
    assert found == "outputs of shape (2, 4) instead of (2, 3)"


def test_structures_and_half_precision():
    one = {"a": tf.ones(3, tf.bfloat16), "b": [tf.zeros(2)]}
    other = {"a": tf.ones(3, tf.bfloat16), "b": [tf.constant([0.0, 1.0])]}
    assert describe_difference(one, one, 1e-4) is None
    assert "differ by up to 1" in describe_difference(one, other, 1e-4)
