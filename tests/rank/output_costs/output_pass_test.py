"""Tests of what the outputs lose to first order."""

import math

import cut_readers
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.rank.output_costs import output_pass
from keras_shapley_prune.rank.output_costs.output_pass import OutputPass, count_batches
from keras_shapley_prune.rank.output_costs.output_scale import OutputScale
from keras_shapley_prune.repair import readers
from keras_shapley_prune.trace.tracer import trace_channels


class OneNumber:
    """A scale of one number an example: with signs for it, nothing is sampled."""

    def __init__(self, graph):
        self._outputs = graph.outputs

    def __call__(self, values):
        total, generator = 0.0, np.random.default_rng(1)
        for tensor in self._outputs:
            value = tf.cast(values[tensor], tf.float32)
            flat = tf.reshape(value, [-1, math.prod(value.shape[1:])])
            weights = generator.normal(size=(flat.shape[1], 1)).astype("float32")
            total += flat @ weights
        return [total]


def opened(model, count=12, **arguments):
    """Returns a traced model, its batches, and its changes."""
    channel_map = trace_channels(model)
    batches = cut_readers.to_batches(model, models.inputs_of(model, count))
    return (
        channel_map,
        batches,
        cut_readers.changes_of(channel_map, batches, **arguments),
    )


def slopes(graph, inputs, changes, depth, scale, step):
    """Returns how the outputs change at the start of a change, by central steps."""
    ends = [
        scale(cut_readers.run_changed(graph, inputs, changes, depth, share))
        for share in (step, -step)
    ]
    return [(a - b).numpy() / (2 * step) for a, b in zip(*ends, strict=True)]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("max_columns", [2400, 10])
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_costs_are_squared_slopes_of_the_outputs(monkeypatch, builder, max_columns):
    monkeypatch.setattr(readers, "MAX_COLUMNS", max_columns)
    channel_map, batches, changes = opened(models.build(builder))
    graph = channel_map.graph
    scale = OneNumber(graph)
    costs = OutputPass(graph, changes, scale).run(batches[:1])
    assert list(costs) == list(changes)
    for name, found in changes.items():
        for depth, cost in enumerate(costs[name]):
            (slope,) = slopes(graph, batches[0], found, depth, scale, 2e-3)
            assert cost == pytest.approx(np.mean(slope**2), rel=0.03, abs=1e-6)


def test_signs_are_drawn_for_each_entry_of_each_output(monkeypatch):
    """Each output and entry has signs of its own, or they would cancel out."""
    monkeypatch.setattr(output_pass, "NUM_VECTORS", 200)
    channel_map, batches, changes = opened(models.build(models.two_ends))
    graph = channel_map.graph
    scale = OutputScale(graph, batches[0])
    changes = {"conv": changes["conv"]}
    (cost, _), *_ = OutputPass(graph, changes, scale).run(batches[:1]).values()
    found = slopes(graph, batches[0], changes["conv"], 0, scale, 2e-3)
    expected = sum(np.sum(slope**2) for slope in found) / len(batches[0][0])
    assert cost == pytest.approx(expected, rel=0.25)  # a standard error is a tenth


def test_the_seed_decides_the_signs():
    channel_map, batches, changes = opened(models.build(models.chain))
    scale = OutputScale(channel_map.graph, batches[0])

    def run(seed):
        found = OutputPass(channel_map.graph, changes, scale, seed).run(batches)
        return np.concatenate(list(found.values()))

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.allclose(run(1), run(2), rtol=1e-3)


def test_compiled_or_not(monkeypatch):
    channel_map, batches, changes = opened(models.build(models.residual))
    scale, found = OutputScale(channel_map.graph, batches[0]), []
    for compiled in (False, True):
        monkeypatch.setattr(
            output_pass, "is_worth_compiling", lambda _, answer=compiled: answer
        )
        costs = OutputPass(channel_map.graph, changes, scale).run(batches)
        found.append(np.concatenate(list(costs.values())))
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_batches_of_any_size(monkeypatch):
    """They are run in as many as memory allows; each counts with its examples."""
    channel_map, batches, changes = opened(models.build(models.chain))
    graph, shares, found = channel_map.graph, [], []
    for size in (2**28, 3.5 * output_pass._held_bytes(graph, batches[0])):
        monkeypatch.setattr(output_pass, "SEEN_BYTES", size)
        monkeypatch.setattr("keras_shapley_prune.trace.batches.SEEN_BYTES", int(size))
        costs = OutputPass(graph, changes, OneNumber(graph))
        found.append(np.concatenate(list(costs.run(batches, shares.append).values())))
    np.testing.assert_allclose(*found, rtol=1e-4)
    assert shares == pytest.approx([1.0, *4 * [0.25]])
    assert count_batches(graph, batches[0], 12) == pytest.approx(12 / 3.5)


@pytest.mark.slow
def test_images_of_any_size():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Dense(5, name="mixed")(x))
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    generator, channel_map = np.random.default_rng(0), trace_channels(model)
    graph = channel_map.graph
    batches = [
        [tf.constant(generator.normal(size=(3, n, n, 3)), tf.float32)]
        for n in (6, 9, 6, 7, 5, 8)
    ]
    changes = cut_readers.changes_of(channel_map, batches)
    scale = OneNumber(graph)
    costs = OutputPass(graph, changes, scale).run(batches)
    for name, found in changes.items():
        slope = [slopes(graph, x, found, 0, scale, 2e-3)[0] for x in batches]
        assert costs[name][0] == pytest.approx(np.mean(np.square(slope)), rel=0.02)


def test_batches_of_one_size_only():
    inputs = keras.Input(batch_shape=(4, 6))
    x = layers.Dense(5, activation="tanh", name="units")(inputs)
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")
    channel_map = trace_channels(model)
    batches, scale = cut_readers.to_batches(model, x, 4), OneNumber(channel_map.graph)
    changes = cut_readers.changes_of(channel_map, batches)
    costs = OutputPass(channel_map.graph, changes, scale).run(batches)["units"]
    slope = [
        slopes(channel_map.graph, b, changes["units"], 1, scale, 2e-3) for b in batches
    ]
    assert costs[1] == pytest.approx(np.mean(np.square(slope)), rel=0.01)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("trainable", [True, False])
def test_integers_that_enter_a_frozen_embedding(trainable):
    """Nothing before the first reader has a derivative."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, name="words", mask_zero=True)(inputs)
    x = layers.Dense(5, activation="tanh", name="units")(x)
    x = layers.LSTM(3, name="lstm")(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2)(x)))
    model.trainable = trainable
    words = np.random.default_rng(0).integers(0, 9, size=(12, 6)).astype("int32")
    channel_map, batches = trace_channels(model), cut_readers.to_batches(model, words)
    scale = OneNumber(channel_map.graph)
    changes = cut_readers.changes_of(channel_map, batches)
    costs = OutputPass(channel_map.graph, changes, scale).run(batches[:1])
    assert set(costs) == {"words", "units", "lstm"}
    for name, found in changes.items():
        (slope,) = slopes(channel_map.graph, batches[0], found, 0, scale, 2e-3)
        assert costs[name][0] == pytest.approx(np.mean(slope**2), rel=0.02)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    half = models.build(models.residual)
    keras.config.set_dtype_policy("float32")
    costs = []
    for model in (half, models.build(models.residual)):
        channel_map, batches, changes = opened(model)
        scale = OneNumber(channel_map.graph)
        found = OutputPass(channel_map.graph, changes, scale).run(batches)
        costs.append(np.concatenate(list(found.values())))
    np.testing.assert_allclose(*costs, rtol=0.1, atol=1e-6)
