"""Tests of counted and measured costs."""

import sys
import types

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.flops import count_flops, measure_latency
from keras_shapley_prune.trace.tracer import trace_channels


def _count(*steps, shape=(8, 8, 3)):
    return count_flops(keras.Sequential([keras.Input(shape), *steps]))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3), 2 * 9 * 3 * 5 * 36),
        (layers.Conv2D(5, 3, padding="same", use_bias=False), 2 * 9 * 3 * 5 * 64),
        (layers.Conv2D(5, (3, 2), strides=2, padding="same"), 2 * 6 * 3 * 5 * 16),
        (layers.Conv2D(6, 3, dilation_rate=2), 2 * 9 * 3 * 6 * 16),
        (layers.Conv2D(6, 1, groups=3), 2 * 1 * 6 * 64),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 2 * 9 * 3 * 2 * 36),
        (
            layers.SeparableConv2D(7, 3, depth_multiplier=2),
            2 * (9 * 3 * 2 + 6 * 7) * 36,
        ),
        (layers.Conv2DTranspose(4, 3, strides=2), 2 * 9 * 3 * 4 * 64),
        (layers.Conv2DTranspose(4, 3, strides=2, padding="same"), 2 * 9 * 3 * 4 * 64),
        (layers.Dense(5), 2 * 3 * 5 * 64),
        (layers.BatchNormalization(), 0),
        (layers.MaxPooling2D(), 0),
        (layers.PReLU(), 0),
        (layers.PReLU(shared_axes=[1, 2]), 0),
        (layers.Flatten(), 0),
    ],
)
def test_flops_of_a_layer(layer, expected):
    assert _count(layer) == expected


def test_flops_of_a_dense_layer_on_vectors():
    assert _count(layers.Dense(5), shape=(7,)) == 2 * 7 * 5


def test_flops_of_an_embedding_are_none():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(100, 8)(inputs)
    assert count_flops(keras.Model(inputs, layers.Dense(2)(x))) == 2 * 8 * 2 * 6


def test_a_layer_that_is_called_twice_counts_twice():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    assert count_flops(keras.Model(inputs, dense(dense(inputs)))) == 2 * 2 * 16


def test_a_model_as_a_layer_counts_as_its_layers():
    steps = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(5)]
    expected = _count(*steps)
    inner = keras.Sequential([keras.Input((8, 8, 3)), *steps])
    assert _count(inner) == expected


def test_unknown_sizes_give_none():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    assert count_flops(keras.Model(inputs, layers.Dense(2)(x))) is None
    assert _count(layers.MaxPooling2D(), shape=(None, None, 3)) == 0


def test_flops_agree_with_tensorflows_profiler():
    model = models.build(models.chain)
    view = tf.function(lambda x: model(x, training=False))
    graph = view.get_concrete_function(tf.TensorSpec((1, 12, 12, 3))).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    options["min_float_ops"] = 1
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)

    def walk(node):
        yield node.name, node.float_ops
        for child in node.children:
            yield from walk(child)

    counts = dict(walk(profile))
    assert count_flops(model) == counts["Conv2D"] + counts["MatMul"]


@pytest.mark.parametrize("builder", [models.residual, models.nested, models.recurrent])
def test_flops_fall_and_nothing_changes(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    pruned = remove_channels(model, keep, channel_map)
    assert 0 < count_flops(pruned) < count_flops(model)
    assert models.snapshot(model, inputs) == before


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
