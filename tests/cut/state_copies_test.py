"""Tests of what a copy remembers: the seeds and states of its original."""

import keras
import noisy_models
import numpy as np
from keras import layers

from keras_shapley_prune.cut.state_copies import copy_states, state_variables
from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.trace.tracer import trace_channels


def test_what_is_remembered():
    assert state_variables(layers.Dense(2)) == []
    assert len(state_variables(layers.Dropout(0.5))) == 1
    assert state_variables(keras.Input((3,))) == []
    lstm = noisy_models.stateful().get_layer("lstm")
    assert [tuple(state.shape) for state in state_variables(lstm)[-2:]] == [(4, 8)] * 2


def test_a_copy_draws_what_its_original_would():
    model = noisy_models.autoencoder(noisy_models.Sampling())
    images = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    model(images)
    copied = copy_whole(model, trace_channels(model)).model
    for ours, theirs in zip(model(images), copied(images), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_what_has_another_shape_is_not_copied():
    one, other = keras.Sequential(), keras.Sequential()
    one.add(keras.Input(batch_shape=(2, 3, 1)))
    other.add(keras.Input(batch_shape=(5, 3, 1)))
    for model in (one, other):
        model.add(layers.LSTM(2, stateful=True))
    one(np.ones((2, 3, 1)))
    copy_states(one.layers[0], other.layers[0])
    assert not np.any(other.layers[0].states[0])
