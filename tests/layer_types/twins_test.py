"""Tests of operations that share everything with another one."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.twins import Twins, kept_calls, make_twin


def _model():
    inputs = keras.Input((3,))
    outputs = keras.ops.abs(layers.Dense(2, name="dense")(inputs))
    return keras.Model(inputs, outputs)


def test_a_twin_shares_weights_and_not_calls():
    dense = _model().get_layer("dense")
    twin = make_twin(dense, name="other")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, twin(inputs))
    assert (twin.name, dense.name) == ("other", "dense")
    assert twin.kernel is dense.kernel
    assert len(dense._inbound_nodes) == 1 and len(twin._inbound_nodes) == 1
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(model(x), dense(x))


def test_there_is_one_twin_of_each():
    twins, dense = Twins(), _model().get_layer("dense")
    twin = twins.of(dense)
    assert twin is not dense
    assert twins.of(dense) is twin and twins.of(twin) is twin
    unbuilt = layers.Dense(2)  # a twin would build weights of the other one
    assert twins.of(unbuilt) is unbuilt


def test_calls_are_forgotten():
    model = _model()
    operations = model.operations
    before = [(len(o._inbound_nodes), len(o._outbound_nodes)) for o in operations]
    with kept_calls(model):
        keras.ops.abs(model.get_layer("dense")(model.inputs[0]))
        model(keras.Input((3,)))
    after = [(len(o._inbound_nodes), len(o._outbound_nodes)) for o in operations]
    assert after == before and not model._inbound_nodes
