"""Tests of which tensors are one for all examples."""

import keras
from keras import layers, ops

from keras_shapley_prune.trace.expansion.to_functional import to_functional
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.shared_tensors import find_for_all
from keras_shapley_prune.trace.tracer import trace_channels


class Placed(layers.Layer):
    """Adds a weight that is doubled first."""

    def build(self, shape):
        self.places = self.add_weight(shape=(1, *shape[1:]), name="places")

    def call(self, inputs):
        return inputs + ops.square(self.places)


def test_what_comes_of_a_weight_alone_is():
    inputs = keras.Input((5, 4))
    x = Placed(name="placed")(layers.Dense(6)(inputs))
    model = to_functional(keras.Model(inputs, layers.Dense(2)(x)))
    graph = record_graph(model)
    found = find_for_all(graph)
    kinds = [
        type(call.operation).__name__
        for call in graph.calls
        if found.issuperset(call.outputs)
    ]
    assert kinds == ["OwnWeight", "Square"]
    assert len(trace_channels(model).for_all) == 2


def test_nothing_of_an_input_is():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, ops.square(layers.Dense(2)(inputs)))
    assert not find_for_all(record_graph(model))
