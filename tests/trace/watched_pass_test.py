"""Tests of passes that are watched on the way."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.trace import watched_pass
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.watched_pass import WatchedPass


def inputs_of(model, count=4):
    return list(map(tf.constant, keras.tree.flatten(models.inputs_of(model, count))))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_what_is_seen_is_what_a_stop_there_shows(builder, compiled):
    model = models.build(builder)
    graph, inputs = record_graph(model), inputs_of(model)
    network = ForwardPass(graph, [inputs])
    first, last = 1, len(graph.calls)
    read = graph.calls[first].inputs[0]
    watches = [
        (last, lambda values: [values[tensor] for tensor in graph.outputs]),
        (first, lambda values: values[read]),
    ]
    outputs, early = WatchedPass(graph, watches, compiled).run(inputs)
    expected = network.look_ahead(0, last)
    for tensor, found in zip(graph.outputs, outputs, strict=True):
        scale = max(np.abs(expected[tensor]).max(), 1e-3)
        np.testing.assert_allclose(found, expected[tensor], atol=1e-5 * scale)
    np.testing.assert_allclose(early, network.look_ahead(0, first)[read], atol=1e-5)


def test_nothing_is_run_behind_the_last_watch(monkeypatch):
    model = models.build(models.chain)
    graph, called = record_graph(model), []
    run = watched_pass.run_calls
    monkeypatch.setattr(
        watched_pass,
        "run_calls",
        lambda calls, v: called.extend(calls) or run(calls, v),
    )
    watch = 3, lambda values: values[graph.calls[3].inputs[0]]
    WatchedPass(graph, [watch]).run(inputs_of(model))
    assert called == list(graph.calls[:3])


def test_a_network_is_compiled_once_for_batches_of_all_sizes():
    model = models.build(models.chain)
    graph, looks = record_graph(model), []
    watch = 2, lambda values: looks.append(2) or values[graph.calls[2].inputs[0]]
    network = WatchedPass(graph, [watch])
    for size in (4, 1, 3):
        (seen,) = network.run(inputs_of(model, size))
        assert seen.shape[0] == size
    assert looks == [2]


def test_without_a_watch_nothing_is_run():
    model = models.build(models.chain)
    assert WatchedPass(record_graph(model), []).run(inputs_of(model)) == []


def test_what_no_later_call_reads_is_dropped():
    model = models.build(models.chain)
    graph, held = record_graph(model), []
    watches = [
        (i, lambda values: held.append(len(values))) for i in range(len(graph.calls))
    ]
    WatchedPass(graph, watches, compiled=False).run(inputs_of(model))
    # What the next call reads, and what the two before it read.
    assert max(held) == 3 < len(graph.calls)
