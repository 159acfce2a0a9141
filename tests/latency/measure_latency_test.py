"""Tests of measured latency."""

import time

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.latency import measure_latency as module
from keras_shapley_prune.latency.measure_latency import measure_latency
from keras_shapley_prune.latency.runtime import Runtime


def test_latency():
    model = models.build(models.chain)
    x = models.images(model, 2)
    seconds = measure_latency([model, model], x, num_runs=3)
    assert [type(value) for value in seconds] == [float, float]


def test_latency_of_several_inputs_and_outputs():
    model = models.build(models.two_ends)
    assert len(measure_latency([model], models.inputs_of(model), num_runs=2)) == 1


def test_latency_orders_a_small_and_a_large_model():
    small, large = (
        keras.Sequential([keras.Input((n,)), layers.Dense(n)]) for n in (8, 3000)
    )
    x = np.ones((64, 3000), "float32")
    (fast,) = measure_latency([small], x[:, :8], num_runs=5)
    (slow,) = measure_latency([large], x, num_runs=5)
    assert fast < slow


def test_latency_within_a_time():
    calls = []

    def wait():
        calls.append(1)
        time.sleep(0.002)  # a shorter run would be repeated

    def model(inputs, training):
        tf.py_function(wait, [], [])
        return inputs

    for num_runs, seconds, expected in ((9, 0.0, 3), (5, 60.0, 5), (2, 0.0, 2)):
        calls.clear()
        measure_latency([model], np.ones((1, 2)), num_runs, max_seconds=seconds)
        assert len(calls) == expected + 3  # to trace, and to warm up


def dense(units):
    return keras.Sequential([keras.Input((units,)), layers.Dense(units)])


def test_latency_on_litert():
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    pair = [dense(8), dense(700)]
    with pytest.raises(ValueError, match="Argument `inputs` should give input"):
        measure_latency(pair, np.ones((3, 7)), runtime="litert")
    small, large = measure_latency(pair, None, num_runs=5, runtime="litert")
    assert 0 < small < large


def test_the_batch_is_that_of_the_inputs_or_of_the_runtime(monkeypatch):
    seen = []

    def note(models, runtime, examples, *others):
        seen.append((runtime, examples))
        return []

    monkeypatch.setattr(module, "time_models", note)
    own, x = Runtime(batch_size=2), np.ones((5, 3))
    measure_latency([dense(3)], x, runtime="tensorflow")
    measure_latency([dense(3)], None, runtime="tensorflow")
    measure_latency([dense(3)], x, runtime=own)
    assert [runtime.batch_size for runtime, _ in seen] == [5, 1, 2]
    assert [examples for _, examples in seen] == [[(x,)], None, [(x,)]]


def test_nested_inputs_on_a_runtime():
    inputs = {"b": [keras.Input((2,), name="x")], "a": keras.Input((3,), name="a")}
    joined = layers.Concatenate()([inputs["b"][0], inputs["a"]])
    model = keras.Model(inputs, layers.Dense(2)(joined))
    batch = {"b": [np.ones((4, 2))], "a": np.ones((4, 3))}
    for runtime in (None, "tensorflow", Runtime("tensorflow", 7)):
        (seconds,) = measure_latency([model], batch, num_runs=2, runtime=runtime)
        assert seconds > 0


def test_latency_by_a_function_of_the_user():
    found = measure_latency(
        [dense(2), dense(3)], None, runtime=keras.Model.count_params
    )
    assert found == [6.0, 12.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_runs": 0}, "`num_runs` should be an integer, at least 1"),
        ({"num_runs": 2.0}, "`num_runs` should be an integer"),
        ({"max_seconds": float("nan")}, "`max_seconds` should be a number"),
        ({"max_seconds": -1}, "`max_seconds` should be a number"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure_latency([pytest.fail], np.ones((1, 2)), **arguments)
