"""Tests of batches of another size."""

import keras
import models
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shapley_prune.trace import batches as module
from keras_shapley_prune.trace.batches import count_bytes, has_fixed_batch, rebatch
from keras_shapley_prune.trace.recording import record_graph


def split(array, *sizes):
    return [[tf.constant(part)] for part in np.split(array, np.cumsum(sizes))]


def test_all_examples_in_order_in_batches_of_about_one_size(monkeypatch):
    model = models.build(models.chain)
    graph, images = record_graph(model), models.images(model, 23)
    largest = max(
        4 * int(np.prod(tensor.shape[1:])) for c in graph.calls for tensor in c.outputs
    )
    monkeypatch.setattr(module, "LARGEST_BYTES", 8 * largest)
    found = rebatch(split(images, 1, 4, 11), graph)
    assert [len(x) for (x,) in found] == [8, 8, 7]
    np.testing.assert_array_equal(np.concatenate([x for (x,) in found]), images)


def test_examples_of_different_shapes_stay_apart():
    inputs = keras.Input((None, None, 3))
    graph = record_graph(keras.Model(inputs, layers.Conv2D(2, 3)(inputs)))
    sizes = (4, 4, 6, 4)
    data = [[tf.zeros((2, size, size, 3))] for size in sizes]
    found = rebatch(data, graph)
    assert [tuple(x.shape[:2]) for (x,) in found] == [(4, 4), (2, 6), (2, 4)]


def test_a_model_may_take_batches_of_one_size_only():
    inputs = keras.Input(batch_shape=(2, 5))
    graph = record_graph(keras.Model(inputs, layers.Dense(2)(inputs)))
    data = [[tf.zeros((2, 5))] for _ in range(3)]
    assert rebatch(data, graph) is data
    assert has_fixed_batch(graph)
    assert not has_fixed_batch(record_graph(models.build(models.two_ends)))


def test_bytes_of_all_tensors_of_an_example():
    inputs = keras.Input((None, 3))
    x = layers.Conv1D(5, 1)(inputs)
    graph = record_graph(keras.Model(inputs, layers.GlobalMaxPooling1D()(x)))
    # The length is not known but from the data: three channels, five, and the maxima.
    assert count_bytes(graph, [np.zeros((2, 7, 3))]) == 4 * (7 * 3 + 7 * 5 + 5)
