"""Tests of stretches of a graph, compiled and not."""

import itertools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.rank.machine_speed import time_tracing
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.segments import Segments


def inputs_of(model, graph, count=4):
    flat = keras.tree.flatten(models.inputs_of(model, count))
    return dict(zip(graph.inputs, map(tf.constant, flat), strict=True))


@pytest.mark.sweep(4)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_from_cut_to_cut_the_outputs_are_the_models(builder, compiled):
    model = models.build(builder)
    graph = record_graph(model)
    segments, values = Segments(graph, compiled=compiled), inputs_of(model, graph)
    expected = models.outputs_of(model, models.inputs_of(model, 4))
    cuts = [*range(0, len(graph.calls), 3), len(graph.calls)]
    for start, stop in itertools.pairwise(cuts):
        values = segments.run(values, start, stop)
    found = [values[tensor].numpy() for tensor in graph.outputs]
    assert models.relative_difference(found, expected) < 1e-5
    assert set(values) == set(graph.outputs)


def test_masks_of_time_steps_cross_the_cuts():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 5, mask_zero=True)(inputs)
    x = layers.Dropout(0.5)(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    words = np.array([[3, 1, 2, 0, 0, 0], [4, 5, 6, 7, 8, 0]], "int32")
    graph = record_graph(model)
    values, segments = {graph.inputs[0]: tf.constant(words)}, Segments(graph)
    for index in range(len(graph.calls)):
        values = segments.run(values, index, index + 1)
    found = values[graph.outputs[0]]
    np.testing.assert_allclose(found, model(words), rtol=1e-6)


def test_axes_that_tensorflow_loses_count_of_are_known():
    inputs = keras.Input((1, 6))
    # Without an axis: the batch could be one that goes.
    x = layers.Dense(5)(keras.ops.squeeze(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    graph = record_graph(model)
    segments, values = Segments(graph), inputs_of(model, graph)
    expected = model(values[graph.inputs[0]])
    found = segments.run(values, 0, len(graph.calls))[graph.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert time_tracing(graph, list(values.values())) > 0


def test_nothing_is_compiled_twice():
    model = models.residual()
    graph, asked = record_graph(model), []

    def count(call):
        asked.append(call.index)
        return {}

    segments = Segments(graph, count)
    for size in (4, 2, 1):
        values = inputs_of(model, graph, size)
        values = segments.run(values, 0, 5)
        segments.run(values, 5, len(graph.calls))
    segments.run(inputs_of(model, graph, 3), 0, len(graph.calls))
    assert asked == list(range(len(graph.calls)))


def test_weights_may_change_between_two_runs():
    model = models.residual()
    graph = record_graph(model)
    segments, values = Segments(graph), inputs_of(model, graph)
    before = segments.run(values, 0, len(graph.calls))[graph.outputs[0]]
    for weight in model.trainable_weights:
        weight.assign(weight * 0.5)
    after = segments.run(values, 0, len(graph.calls))[graph.outputs[0]]
    expected = model(models.inputs_of(model, 4))
    assert np.abs(before - expected).max() > 1e-3
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_masks_are_asked_for_anew_where_they_are_forgotten():
    model = models.build(models.chain)
    graph, removed = record_graph(model), set()

    def find_masks(call):
        size = call.inputs[0].shape[-1]
        return {0: Mask(np.zeros(size))} if call.index in removed else {}

    data = [list(inputs_of(model, graph, 2).values()) for _ in range(5)]
    network = ForwardPass(graph, data, find_masks)
    whole = network.look_ahead(0, len(graph.calls))[graph.outputs[0]]
    network.advance(2)
    removed.add(3)
    network.forget()
    masked = network.look_ahead(0, len(graph.calls))[graph.outputs[0]]
    assert np.abs(whole - masked).max() > 1e-3


def test_cuts_that_are_known_from_the_beginning_are_made_by_everybody():
    """So it does not matter where somebody enters, to the last bit."""
    model = models.build(models.chain)
    graph, found = record_graph(model), []
    values = inputs_of(model, graph)
    for stops in ([len(graph.calls)], [3, 6, len(graph.calls)], [6, len(graph.calls)]):
        segments, at = Segments(graph), (values, 0)
        segments.cut_at([3, 6])
        for stop in stops:
            at = segments.run(*at, stop), stop
        found.append(at[0][graph.outputs[0]].numpy().tobytes())
    assert len(set(found)) == 1
