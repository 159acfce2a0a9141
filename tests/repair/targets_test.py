"""Tests of what repaired layers should return, recorded in one pass."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.repair import taken_rows
from keras_shapley_prune.repair.skip_compensation import is_fitted
from keras_shapley_prune.repair.targets import (
    LayerTarget,
    RecordedTargets,
    positions_of,
    record_targets,
)
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 12


def record(model, memory=None, size=5):
    """Returns recorded targets of a model, its map and a pass through it."""
    channel_map = trace_channels(model)
    flat = keras.tree.flatten(models.inputs_of(model, NUM_EXAMPLES))
    starts = range(0, NUM_EXAMPLES, size)
    batches = [[tf.constant(x[start : start + size]) for x in flat] for start in starts]
    targets = RecordedTargets(memory)
    record_targets(targets, channel_map, channel_map.groups, batches)
    return targets, channel_map, ForwardPass(channel_map.graph, batches)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_recorded_targets_are_those_of_a_pass_that_stops(builder):
    targets, channel_map, network = record(models.build(builder))
    graph, known = channel_map.graph, 0
    for call in graph.calls:
        if not is_fitted(call.operation) or not targets.has([call]):
            continue
        known += 1
        wanted = LayerTarget(graph, call)
        for batch in range(network.num_batches):
            before = network.look_ahead(batch, call.index)
            after = network.look_ahead(batch, call.index + 1)
            positions = positions_of(call, before, NUM_EXAMPLES)
            values = after if wanted.is_returned else before
            expected = wanted.at(values, positions).numpy()
            found = targets.at(call, batch, before, positions)
            scale = max(np.abs(expected).max(), 1e-3)
            np.testing.assert_allclose(found, expected, atol=1e-5 * scale)
    assert known > 0


def convolutions(activation=None):
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(4, 3, activation=activation, name="second")(x)
    return models.randomize(
        keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    )


@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_target_is_what_stands_before_the_activation(activation):
    model = convolutions(activation)
    targets, channel_map, network = record(model)
    (call,) = (c for c in channel_map.graph.calls if c.name == "second")
    layer = keras.layers.Conv2D(4, 3)
    layer.build((None, 8, 8, 6))
    layer.set_weights(call.operation.get_weights())
    before = network.look_ahead(1, call.index)
    expected = to_rows(layer(before[call.inputs[0]]))
    found = targets.at(call, 1, before, None)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert LayerTarget(channel_map.graph, call).is_returned == (activation is None)


def test_fewer_positions_are_some_of_those_recorded(monkeypatch):
    monkeypatch.setattr(taken_rows, "ROWS_A_COLUMN", 4)
    targets, channel_map, network = record(convolutions())
    (call,) = (c for c in channel_map.graph.calls if c.name == "second")
    before = network.look_ahead(0, call.index)
    # 4 rows a column of 54, of 12 examples with 36 positions each.
    many = positions_of(call, before, NUM_EXAMPLES)
    few = positions_of(call, before, NUM_EXAMPLES, num_columns=20)
    assert len(many) == 18 and len(few) == 7 and set(few) < set(many)
    whole = to_rows(network.look_ahead(0, call.index + 1)[call.outputs[0]]).numpy()
    found = targets.at(call, 0, before, few)
    np.testing.assert_allclose(found, whole[:, few], atol=1e-5)


def test_what_no_unit_reaches_is_not_recorded():
    targets, channel_map, _ = record(convolutions())
    fitted = [c for c in channel_map.graph.calls if is_fitted(c.operation)]
    assert [c.name for c in fitted if targets.has([c])] == ["second", "dense"]
    assert not targets.has(fitted[:2])


def test_what_does_not_fit_is_not_in_memory():
    model = convolutions()
    targets, *_ = record(model)
    assert targets.num_bytes == 4 * NUM_EXAMPLES * (36 * 4 + 2)
    small, channel_map, network = record(model, memory=4 * NUM_EXAMPLES * 36)
    assert small.num_bytes <= 4 * NUM_EXAMPLES * 18
    (call,) = (c for c in channel_map.graph.calls if c.name == "second")
    for batch in range(network.num_batches):
        before = network.look_ahead(batch, call.index)
        expected, found = (t.at(call, batch, before, None) for t in (targets, small))
        np.testing.assert_array_equal(found, expected)


def test_batches_of_several_sizes():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(6, 3, name="first")(inputs)
    outputs = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3, name="second")(x))
    model = models.randomize(keras.Model(inputs, outputs))
    channel_map = trace_channels(model)
    generator = np.random.default_rng(0)
    batches = [
        [tf.constant(generator.normal(size=(3, size, size, 3)).astype("float32"))]
        for size in (10, 30)
    ]
    targets = RecordedTargets()
    record_targets(targets, channel_map, channel_map.groups, batches)
    network = ForwardPass(channel_map.graph, batches)
    (call,) = (c for c in channel_map.graph.calls if c.name == "second")
    for batch in (0, 1):
        before = network.look_ahead(batch, call.index)
        after = network.look_ahead(batch, call.index + 1)
        positions = positions_of(call, before, 6)
        whole = to_rows(after[call.outputs[0]]).numpy()
        expected = whole if positions is None else whole[:, positions]
        found = targets.at(call, batch, before, positions)
        np.testing.assert_allclose(found, expected, atol=1e-5)
