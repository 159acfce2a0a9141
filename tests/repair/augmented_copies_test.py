"""Tests of augmented copies of the calibration data."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.repair import augmented_copies
from keras_shapley_prune.repair.augmented_copies import (
    AugmentedCopies,
    count_copies,
    most_copies,
)
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.parametrize(
    "num_rows, num_columns, expected",
    [(800, 100, 0), (799, 100, 1), (400, 100, 1), (399, 100, 2), (10, 1000, 4)],
)
def test_the_number_of_copies_fills_up_the_rows(num_rows, num_columns, expected):
    assert count_copies(num_rows, num_columns) == expected
    assert count_copies(num_rows, num_columns, most=1) == min(expected, 1)


@pytest.mark.parametrize(
    "num_examples, expected", [(20, 4), (40, 2), (50, 1), (99, 1), (100, 0), (300, 0)]
)
def test_copies_are_for_few_examples(num_examples, expected):
    assert most_copies(num_examples) == expected


def pooled():
    """One row an image for the dense layers."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(24, 5, activation="relu", name="conv")(inputs)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(20, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(5, name="classes")(x))


def take(images, sizes, num_copies=2):
    batches = [[tf.constant(part)] for part in np.split(images, np.cumsum(sizes)[:-1])]
    graph = record_graph(models.build(pooled))
    networks = ForwardPass(graph, batches), ForwardPass(graph, batches)
    return graph, AugmentedCopies(batches, 2**28).take(num_copies, *networks)


def images_of(graph, pairs):
    return [
        np.concatenate(
            [original.values(b)[graph.inputs[0]] for b in range(original.num_batches)]
        )
        for original, _ in pairs
    ]


def test_copies_are_moved_and_each_in_another_way():
    images = np.random.default_rng(0).normal(size=(12, 16, 16, 1)).astype("float32")
    first, second = images_of(*take(images, [12]))
    assert first.shape == images.shape
    for one, other in [(first, images), (second, images), (first, second)]:
        assert np.mean(np.any(one != other, axis=(1, 2, 3))) > 0.5


def test_copies_do_not_depend_on_how_the_data_is_batched():
    images = np.random.default_rng(0).normal(size=(12, 16, 16, 1)).astype("float32")
    whole, parts = (images_of(*take(images, sizes)) for sizes in ([12], [5, 5, 2]))
    np.testing.assert_array_equal(whole, parts)


def test_batches_of_images_of_several_sizes():
    generator = np.random.default_rng(0)
    batches = [
        [tf.constant(generator.normal(size=(3, size, size, 1)).astype("float32"))]
        for size in (16, 20)
    ]
    graph = record_graph(models.build(pooled))
    networks = ForwardPass(graph, batches), ForwardPass(graph, batches)
    ((original, _),) = AugmentedCopies(batches, 2**28).take(1, *networks)
    shapes = [original.values(batch)[graph.inputs[0]].shape for batch in (0, 1)]
    assert shapes == [(3, 16, 16, 1), (3, 20, 20, 1)]


def test_both_networks_see_the_same_copy():
    images = np.random.default_rng(0).normal(size=(6, 16, 16, 1)).astype("float32")
    graph, ((original, pruned),) = take(images, [6], num_copies=1)
    values = pruned.values(0)
    run_calls(graph.calls, values)
    expected = original.look_ahead(0, len(graph.calls))[graph.outputs[0]]
    np.testing.assert_allclose(values[graph.outputs[0]], expected, rtol=1e-5)


def test_each_call_runs_once_on_a_copy_and_not_before_it_is_asked_for():
    images = np.random.default_rng(0).normal(size=(6, 16, 16, 1)).astype("float32")
    graph, seen = record_graph(models.build(pooled)), []

    def count(call):
        seen.append(call.index)
        return {}

    batches = [[tf.constant(images)]]
    original, pruned = ForwardPass(graph, batches), ForwardPass(graph, batches, count)
    copies_of = AugmentedCopies(batches, 2**28)
    pruned.advance(2)
    assert copies_of.take(0, original, pruned) == [] and seen == []
    for position in range(3, len(graph.calls) + 1):
        pruned.advance(position)
        for _, taken in copies_of.take(2, original, pruned):
            taken.values(0)
        assert sorted(seen) == sorted([*range(position)] * 2)


def test_what_is_no_image_is_not_copied():
    graph = record_graph(models.build(pooled))
    batches = [[tf.zeros((4, 7))]]
    networks = ForwardPass(graph, batches), ForwardPass(graph, batches)
    assert AugmentedCopies(batches, 2**28).take(3, *networks) == []


def test_copies_bring_dense_layers_nearer_to_the_original(monkeypatch):
    model = models.build(pooled)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[::2]] = False
    generator = np.random.default_rng(0)
    images = generator.normal(size=(220, 4, 4, 1)).repeat(4, 1).repeat(4, 2)
    images = images.astype("float32")
    data, others = images[:20], images[20:]
    expected = model.predict(others, verbose=0)

    def error():
        repaired = repair_channels(model, keep, data, channel_map=channel_map)
        return np.mean((repaired.predict(others, verbose=0) - expected) ** 2)

    with_copies = error()
    monkeypatch.setattr(augmented_copies, "MAX_COPIES", 0)
    assert with_copies < 0.9 * error()
