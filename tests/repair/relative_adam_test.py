"""Tests of steps that are relative to the size of what they change."""

import keras
import numpy as np
import pytest

from keras_shapley_prune.repair.relative_adam import RelativeAdam


def variable(values, **options):
    return keras.Variable(np.array(values, "float32"), **options)


def ones(variables):
    return [keras.ops.ones(v.shape, "float32") for v in variables]


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e3])
def test_steps_are_a_share_of_the_size(size):
    kernel = variable([[3 * size, -4 * size]])
    before = kernel.numpy()
    optimizer = RelativeAdam([[kernel]])
    # The gradients of a smaller variable are as much larger.
    optimizer.apply([np.full((1, 2), 1 / size, "float32")], 0.01)
    root_mean_square = size * 12.5**0.5
    np.testing.assert_allclose(before - kernel, 0.01 * root_mean_square, rtol=1e-3)


def test_the_steps_are_those_of_adam_times_the_size():
    generator = np.random.default_rng(0)
    ours = variable(generator.normal(size=(3, 4)))
    theirs = variable(ours.numpy())
    size = np.sqrt(np.mean(ours.numpy() ** 2))
    optimizer = RelativeAdam([[ours]])
    adam = keras.optimizers.Adam(float(0.02 * size))
    adam.build([theirs])
    for _ in range(5):
        gradient = generator.normal(size=(3, 4)).astype("float32")
        optimizer.apply([gradient], 0.02)
        adam.apply([gradient], [theirs])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_what_starts_at_zero_gets_its_size_from_its_layer():
    kernel, bias, alone = variable([[2.0]]), variable([0.0]), variable([0.0])
    optimizer = RelativeAdam([[kernel, bias], [alone]])
    gradients = [1e3 * gradient for gradient in ones(optimizer.variables)]
    optimizer.apply(gradients, 0.1)
    np.testing.assert_allclose(kernel, [[1.8]], rtol=1e-3)
    np.testing.assert_allclose(bias, [-0.02], rtol=1e-3)
    np.testing.assert_allclose(alone, [-1e-4], rtol=1e-3)


def test_a_shared_variable_takes_one_step():
    shared = variable([1.0])
    optimizer = RelativeAdam([[shared], [shared]])
    assert optimizer.variables == [shared]
    optimizer.apply(ones([shared]), 0.1)
    np.testing.assert_allclose(shared, [0.9], rtol=1e-3)


def test_constraints_hold_and_no_gradient_is_no_step():
    bounded = variable([0.05, 2.0])
    bounded.constraint = keras.constraints.NonNeg()
    still = variable([1.0])
    optimizer = RelativeAdam([[bounded], [still]])
    optimizer.apply([*ones([bounded]), None], 0.5)
    assert bounded.numpy()[0] == 0
    assert still.numpy() == [1.0]


def test_half_precision_keeps_small_squares():
    half = variable([1.0, 2.0], dtype="float16")
    optimizer = RelativeAdam([[half]])
    optimizer.apply([keras.ops.full((2,), 1e-3, "float32")], 0.1)
    assert half.dtype == "float16"
    np.testing.assert_allclose(1 - half.numpy()[0], 0.1 * 2.5**0.5, rtol=0.02)
