"""Tests of measured latency."""

import sys
import types

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.report.latency import measure_latency


def test_latency():
    model = models.build(models.chain)
    x = models.images(model, 2)
    seconds = measure_latency([model, model], x, num_runs=3)
    assert [type(value) for value in seconds] == [float, float]


def test_latency_is_the_median_of_each_model(monkeypatch):
    """By a clock that the models move; two runs of each warm up."""
    clock, turns = [0.0], []
    spent = {"fast": [50, 60, 3, 1, 5, 4, 2], "slow": [70, 80, 10, 90, 30, 20, 40]}

    def model_of(name):
        def advance():
            turns.append(name)
            clock[0] += spent[name].pop(0)

        def model(inputs, training):
            tf.py_function(advance, [], [])
            return inputs

        return model

    fake = types.SimpleNamespace(perf_counter=lambda: clock[0])
    monkeypatch.setattr(sys.modules[measure_latency.__module__], "time", fake)
    both = [model_of(name) for name in spent]
    assert measure_latency(both, np.ones((1, 2)), num_runs=5) == [3.0, 30.0]
    assert turns[4:] == ["fast", "slow"] * 5


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

    def model(inputs, training):
        tf.py_function(lambda: calls.append(1), [], [])
        return inputs

    for num_runs, seconds, expected in ((9, 0.0, 3), (5, 60.0, 5), (2, 0.0, 2)):
        calls.clear()
        measure_latency([model], np.ones((1, 2)), num_runs, max_seconds=seconds)
        assert len(calls) == expected + 2  # to warm up


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
