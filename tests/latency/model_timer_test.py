"""Tests of the timer of a model and smaller ones."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.trace.recording import record_graph


def test_a_cut_network_of_dead_filters_is_timed_in_int8():
    pytest.importorskip("ai_edge_litert")
    dead = layers.Conv2D(4, 1, activation="relu")
    model = keras.Sequential([keras.Input((8, 8, 4)), dead, layers.Conv2D(4, 1)])
    dead.set_weights([-np.ones((1, 1, 4, 4)), np.zeros(4)])
    runtime, before = Runtime("litert", int8=True), model.get_weights()
    with pytest.raises(ValueError, match="can be run"):  # XNNPACK has no scale for it
        runtime.load(model)
    timer = ModelTimer(model, runtime, record_graph(model))
    (seconds,) = timer.time_all([timer.load(model)], 0.01)
    assert seconds > 0
    assert all(map(np.array_equal, model.get_weights(), before))


def test_a_model_with_a_lambda_is_timed_in_int8():
    """Keras refuses to clone it."""
    pytest.importorskip("ai_edge_litert")
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Lambda(lambda x: 2 * x)])
    model = keras.Sequential([keras.Input((8, 8, 4)), inner, layers.Conv2D(4, 1)])
    timer = ModelTimer(model, Runtime("litert", int8=True), record_graph(model))
    (seconds,) = timer.time_all([timer.load(model)], 0.01)
    assert seconds > 0
