"""Tests of timing models, on a runtime or by a user's function."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import Timing


def dense(units):
    return keras.Sequential([keras.Input((units,)), layers.Dense(units)])


@pytest.mark.parametrize("name", ["tensorflow", "litert"])
def test_a_large_model_takes_longer(name):
    if name == "litert":
        pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    models = [dense(8), dense(700)]
    small, large = time_models(models, Runtime(name, 16), num_runs=5)
    assert small.num_runs == large.num_runs == 5
    assert 0 < small.median < large.median < 5


def test_a_function_times_each_model_once():
    seen = []

    def count(model):
        seen.append(model)
        return np.float32(model.count_params())

    models = [dense(2), dense(3)]
    found = time_models(models, count, num_runs=9)
    assert found == [Timing(n, n, n, n, 1) for n in (6.0, 12.0)]
    assert seen == models


@pytest.mark.parametrize("wrong", [None, "fast", 0.0, -1.0, np.nan, np.inf, True, [1]])
def test_a_function_that_returns_no_time(wrong):
    with pytest.raises(ValueError, match="`runtime` should be a function that returns"):
        time_models([dense(2)], lambda model: wrong, name="runtime")


def test_states_are_put_back():
    inputs = keras.Input(batch_shape=(1, 3, 2))
    model = keras.Model(inputs, layers.GRU(2, stateful=True)(inputs))
    time_models([model], Runtime(), num_runs=2)
    (state,) = model.layers[-1].states
    assert not np.any(state)
