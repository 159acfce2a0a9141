"""Tests of the scope that leaves no trace in variables."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.held_state import HeldState


def test_seeds_do_not_move_on():
    generator = keras.random.SeedGenerator(1)
    draws = []
    for _ in range(2):
        with HeldState():
            draws += [keras.random.normal((3,), seed=generator) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[2])
    np.testing.assert_array_equal(draws[1], draws[3])
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(generator.state, [1, 0])


def test_seeds_do_not_move_on_in_compiled_functions():
    generator = keras.random.SeedGenerator(1)

    @tf.function
    def draw():
        with HeldState():
            first = keras.random.normal((3,), seed=generator)
            return first, keras.random.normal((3,), seed=generator)

    first, second = draw()
    np.testing.assert_array_equal(draw(), [first, second])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(generator.state, [1, 0])
    generator.state.assign([2, 0])  # it is read when the function runs
    assert not np.array_equal(draw()[0], first)


def test_an_inner_scope_starts_from_the_outer_one():
    one, other = keras.Variable(1.0), keras.Variable(10.0)
    with HeldState([(one, 2.0)]) as outer:
        other.assign(20.0)
        with HeldState():
            one.assign_add(other)
            assert float(one) == 22
        assert float(one) == 2 and float(other) == 20
    assert float(one) == 1 and float(other) == 10
    assert set(outer.changed) == {id(one), id(other)}
