"""Tests that chosen rows are those of all rows."""

import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair import taken_rows
from keras_shapley_prune.repair.depthwise import apply_depthwise, apply_depthwise_at
from keras_shapley_prune.repair.taken_rows import choose_positions, take_rows

READERS = [
    (layers.Conv2D(3, 3), (9, 8, 4)),
    (layers.Conv2D(3, (3, 2), strides=2, padding="same"), (9, 8, 4)),
    (layers.Conv2D(6, 3, dilation_rate=2, padding="same", groups=2), (9, 8, 4)),
    (layers.Conv2D(3, 1, strides=2), (9, 8, 4)),
    (layers.Conv1D(3, 3, padding="causal", dilation_rate=2), (9, 4)),
    (layers.Conv3D(3, 2, padding="same", strides=(1, 2, 1)), (5, 4, 3, 2)),
    (layers.Conv2DTranspose(3, 3, strides=2), (5, 4, 4)),
    (layers.SeparableConv2D(3, 3, padding="same"), (9, 8, 4)),
    (layers.Dense(3), (9, 8, 4)),
]


def images_of(shape):
    return np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")


@pytest.mark.parametrize(("layer", "shape"), READERS)
def test_taken_rows_are_those_of_all_positions(layer, shape):
    images = images_of(shape)
    layer(images)
    form = find_linear_form(layer)
    every = form.rows(images).numpy()
    positions = np.array([0, 2, every.shape[1] // 2, every.shape[1] - 1])
    found = take_rows(form, images, positions)
    np.testing.assert_allclose(found, every[:, positions], atol=1e-5)
    np.testing.assert_array_equal(take_rows(form, images, None), every)


DEPTHWISE = [
    (layers.DepthwiseConv2D(3, strides=2, padding="same"), (9, 9, 4)),
    (layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2), (9, 8, 4)),
    (layers.DepthwiseConv1D(3, padding="same"), (9, 4)),
    (layers.Conv2D(8, 3, groups=4, padding="same", use_bias=False), (9, 8, 4)),
    (layers.Conv1D(8, 3, groups=4, padding="causal"), (9, 4)),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("layer", "shape"), DEPTHWISE)
def test_depthwise_outputs_are_those_of_all_positions(layer, shape, bias):
    images = images_of(shape)
    every = layer(images).numpy()
    if layer.use_bias:
        layer.bias.assign(np.arange(every.shape[-1]))
    every = apply_depthwise(layer, images, bias).numpy()
    every = every.reshape(len(images), -1, every.shape[-1])
    positions = np.array([0, 3, every.shape[1] - 1])
    found = apply_depthwise_at(layer, images, positions, bias)
    np.testing.assert_allclose(found, every[:, positions], atol=1e-5)


def test_as_many_positions_as_the_columns_need(monkeypatch):
    monkeypatch.setattr(taken_rows, "ROWS_A_COLUMN", 10)
    chosen = choose_positions(1000, num_columns=50, num_examples=4)
    assert len(chosen) == len(set(chosen)) == 125
    assert chosen.min() >= 0 and chosen.max() < 1000
    np.testing.assert_array_equal(chosen, choose_positions(1000, 50, 4))
    assert choose_positions(125, 50, 4) is None
