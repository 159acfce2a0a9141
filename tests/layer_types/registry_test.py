"""Tests of the registry of layer types."""

import keras
import pytest
import registry_builders as builders
from keras import layers

from keras_shapley_prune.layer_types import registry as layer_registry
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.skipif(
    not hasattr(keras.ops, "erfc"), reason="Keras before 3.15 lacks some of the names"
)
def test_the_names_of_raw_operations_are_classes_of_keras():
    for name in layer_registry.OPERATION_TYPES:
        found = builders.classes_of_operations(name)
        assert any(issubclass(c, keras.Operation) for c in found), name


@pytest.mark.parametrize(
    "function",
    [
        *(getattr(keras.ops, name) for name in ("absolute", "abs", "square", "tanh")),
        *(getattr(keras.ops, name) for name in ("relu", "silu", "softplus", "exp")),
    ],
)
def test_common_elementwise_functions_do_not_lock(function):
    inputs = keras.Input((4,))
    x = function(layers.Dense(3, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    assert list(trace_channels(model).lock_reasons()) == ["last"]


def test_a_subclass_of_a_known_layer_is_not_known():
    class Backwards(layers.Dense):
        def call(self, inputs):
            return super().call(inputs[..., ::-1])

    assert find_layer_type(Backwards(3)) is None


def test_a_users_operation_with_a_known_name_is_not_known():
    class Relu(keras.Operation):
        def call(self, x):
            return x[..., ::-1]

    assert find_layer_type(Relu()) is None


def test_unknown_weights_lock_a_known_layer():
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="first")(inputs)
    adapted = layers.Dense(5, name="adapted")
    x = adapted(x)
    adapted.enable_lora(2)
    reasons = trace_channels(keras.Model(inputs, layers.Dense(2)(x))).lock_reasons()
    assert "Dense has unknown weights" in reasons["first"]
    assert "lora" in reasons["first"]
