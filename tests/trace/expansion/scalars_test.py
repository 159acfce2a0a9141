"""Tests of NumPy's numbers beside symbolic tensors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune.trace.expansion.scalars import plain_numbers
from keras_shapley_prune.trace.expansion.to_functional import to_functional
from keras_shapley_prune.trace.recording import record_graph


class Scaled(layers.Layer):
    """Divides as attention is often written."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, inputs):
        x = self.dense(inputs) / np.sqrt(6) + np.float64(0.5)
        return ops.softmax(x ** np.int64(2))


def test_the_graph_is_of_the_type_of_its_tensors():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Scaled(name="scaled")(inputs)))
    functional = to_functional(model)
    graph = record_graph(functional)
    assert {x.dtype for call in graph.calls for x in call.outputs} == {"float32"}
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(functional(x), model(x), rtol=1e-5)


@pytest.mark.parametrize("fails", [False, True])
def test_keras_is_as_before_afterwards(fails):
    before = keras.KerasTensor.__truediv__
    try:
        with plain_numbers():
            assert keras.KerasTensor.__truediv__ is not before
            if fails:
                raise RuntimeError("whatever")
    except RuntimeError:
        pass
    assert keras.KerasTensor.__truediv__ is before
