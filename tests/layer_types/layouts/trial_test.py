"""Tests of whether a function takes axes in any order."""

import keras
import pytest
from keras import layers, ops

from keras_shapley_prune.layer_types.layouts.trial import works_in_any_order

LAST = 0, 2, 3, 1


@pytest.mark.parametrize(
    "function",
    [
        keras.activations.gelu,
        lambda x: x * ops.sigmoid(x),
        layers.ReLU(),
        layers.GaussianNoise(1.0),  # as at inference
    ],
)
@pytest.mark.parametrize("shape", [(None, 3, 4, 5), (None, 6, None, None)])
def test_functions_of_each_number(function, shape):
    assert works_in_any_order(function, shape, LAST)


@pytest.mark.parametrize(
    "function",
    [
        keras.activations.softmax,
        lambda x: x - ops.mean(x, axis=(2, 3), keepdims=True),
        lambda x: ops.cumsum(x, axis=1),
        lambda x: x[:, :, :2],
        lambda x: ops.reshape(x, (2, -1)),
        lambda x: 1 / 0,
    ],
)
@pytest.mark.parametrize("shape", [(None, 3, 4, 5), (None, 6, None, None)])
def test_functions_of_positions(function, shape):
    assert not works_in_any_order(function, shape, LAST)


def test_of_two_axes_the_columns_are_reordered():
    assert works_in_any_order(keras.activations.softmax, (None, 5), (0, 1))
    assert not works_in_any_order(lambda x: ops.cumsum(x, -1), (None, 5), (0, 1))
