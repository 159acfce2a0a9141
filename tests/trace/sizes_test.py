"""Tests of sizes that a model leaves open."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import find_open_inputs, give_sizes, read_sizes


def _images(size=None, name="image"):
    inputs = keras.Input((size, size, 3), name=name)
    x = layers.Conv2D(4, 3, padding="same", strides=2)(inputs)
    x = layers.UpSampling2D(2)(x)
    return keras.Model(inputs, layers.Conv2D(2, 1)(keras.ops.relu(x)))


def _two_inputs():
    image, steps = keras.Input((None, 8, 3), name="b"), keras.Input((None, 4), name="a")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    y = layers.LSTM(4)(steps)
    return keras.Model({"x": image, "y": steps}, layers.Add()([x, y]))


def test_shapes_are_those_of_a_model_of_that_size():
    graph = give_sizes(record_graph(_images()), (8, 8, 3))
    shapes = [[t.shape for t in call.outputs] for call in graph.sized.calls]
    expected = record_graph(_images(8)).calls
    assert shapes == [[t.shape for t in call.outputs] for call in expected]
    assert graph.calls[0].outputs[0].shape == (None, None, None, 4)  # not changed


def test_what_has_all_sizes_is_returned_itself():
    graph = give_sizes(record_graph(_images(8)), (8, 8, 3))
    assert graph.sized is graph
    assert record_graph(_images()).sized.calls[0].outputs[0].shape[1] is None


@pytest.mark.parametrize(
    "shapes",
    [
        [(9, 8, 3), (5, 4)],
        {"x": (9, 8, 3), "y": (5, 4)},
        {"b": (9, 8, 3), "a": (5, 4)},
    ],
)
def test_several_inputs(shapes):
    graph = give_sizes(record_graph(_two_inputs()), shapes)
    assert graph.input_shapes == ((9, 8, 3), (5, 4))
    assert find_open_inputs(graph) == {"b": (9, 8, 3), "a": (5, 4)}


@pytest.mark.parametrize(
    "shape", [(8, 8, 4), (8, 8), (None, 8, 3), [(8, 8, 3), (8, 8, 3)], {"other": (1,)}]
)
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"'image' of shape \(None, None, 3\)"):
        give_sizes(record_graph(_images()), shape)


def test_sizes_are_read_from_data_only_where_they_are_needed():
    data = [np.zeros((2, 6, 5, 3), "float32"), np.zeros((2, 9, 9, 3), "float32")]
    assert read_sizes(record_graph(_images()), data) == ((6, 5, 3),)
    assert read_sizes(record_graph(_images(8)), data) is None
    assert read_sizes(record_graph(_images()), None) is None


class Stubborn(layers.Layer):
    """A layer whose shape cannot be inferred any more."""

    allowed = True

    def compute_output_shape(self, input_shape):
        if not self.allowed:
            raise RuntimeError("no shape")
        return input_shape

    def call(self, inputs):
        return inputs


def test_what_cannot_be_inferred_remains_open(monkeypatch):
    inputs = keras.Input((None, 8))
    x = Stubborn()(layers.Dense(4)(inputs))
    graph = give_sizes(record_graph(keras.Model(inputs, layers.Dense(2)(x))), (5, 8))
    monkeypatch.setattr(Stubborn, "allowed", False)
    shapes = [call.outputs[0].shape for call in graph.sized.calls]
    assert shapes == [(None, 5, 4), (None, None, 4), (None, None, 2)]
