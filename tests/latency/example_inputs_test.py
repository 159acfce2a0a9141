"""Tests of the inputs that models are timed on."""

import keras
import models
import numpy as np
import pytest

from keras_shapley_prune.latency.example_inputs import draw, read_first, resize
from keras_shapley_prune.trace.recording import record_graph


def test_drawn_inputs_have_the_shapes_and_types_of_the_model():
    inputs = [
        keras.Input((3, 2), name="a"),
        keras.Input((4,), dtype="int32", name="b"),
        keras.Input((5,), dtype="bfloat16", name="c"),
    ]
    flat = [keras.layers.Flatten()(keras.ops.cast(x, "float32")) for x in inputs]
    graph = record_graph(keras.Model(inputs, keras.layers.Concatenate()(flat)))
    batch = draw(graph, 6)
    assert [tuple(x.shape) for x in batch] == [(6, 3, 2), (6, 4), (6, 5)]
    assert [x.dtype.name for x in batch] == ["float32", "int32", "bfloat16"]
    values = batch[0].numpy()
    assert values.min() >= 0 and values.max() < 1 and values.std() > 0.1
    np.testing.assert_array_equal(draw(graph, 6)[0], values)  # equal for two models


def test_examples_are_repeated():
    model = models.build(models.chain)
    images = models.images(model, 3)
    batch = read_first(record_graph(model), (images, np.zeros(3)))
    for size in (2, 8):
        (found,) = resize(batch, size)
        np.testing.assert_array_equal(found, images[np.arange(size) % 3])


def test_wrong_examples_are_named():
    graph = record_graph(models.build(models.chain))
    with pytest.raises(ValueError, match="Argument `examples` should give input"):
        read_first(graph, np.zeros((2, 3)))
