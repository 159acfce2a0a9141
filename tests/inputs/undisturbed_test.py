"""Tests of calls that leave random numbers and names alone."""

import random

import footprints
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.inputs.undisturbed import kept_seeds, undisturbed


@undisturbed
def _disturb(result=None):
    """Draws and counts whatever can be."""
    footprints.draw_next()
    for _ in range(3):
        tf.random.normal((2, 6, 6, 12))
    random.seed(1)
    np.random.seed(1)
    return result


@undisturbed
def _fail():
    random.random()
    layers.Dense(2)
    raise ValueError


def _start(is_seeded=True):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    if is_seeded:
        keras.random.uniform(())


@pytest.mark.parametrize("is_seeded", [False, True])
def test_what_is_drawn_afterwards_is_as_without_it(is_seeded):
    _start(is_seeded)
    expected = footprints.draw_next(), footprints.draw_next()
    _start(is_seeded)
    _disturb()
    assert footprints.draw_next() == expected[0]
    _disturb()
    with pytest.raises(ValueError):
        _fail()
    assert footprints.draw_next() == expected[1]


def test_names_in_a_returned_model_stay_taken():
    @undisturbed
    def build():
        layers.Dense(1)  # "dense", of which nothing is left
        inputs = keras.Input((2,), name="x")
        return keras.Model(inputs, keras.ops.abs(layers.Dense(2)(inputs)), name="built")

    model = build()
    assert model.layers[-1].name == "dense_1"
    assert layers.Dense(1).name == "dense_2"
    outputs = keras.ops.abs(model.output)  # Keras refuses two of one name in a model
    assert keras.Model(model.input, outputs).operations[-1].name == "absolute_1"


def test_within_one_call_streams_go_on():
    @undisturbed
    def twice():
        return [_draw(), _draw()], [layers.Dense(1).name, layers.Dense(1).name]

    @undisturbed
    def _draw():
        return random.random(), np.random.rand(), float(keras.random.uniform(()))

    (first, second), names = twice()
    assert not set(first) & set(second)
    assert names[0] != names[1]
    assert twice()[0][0] == first


def test_runs_from_the_same_seeds():
    drawn = []
    for _ in range(2):
        with kept_seeds():
            drawn.append((random.random(), float(keras.random.uniform(()))))
    assert drawn[0] == drawn[1]
