"""Tests of the registry of layer types."""

import inspect

import keras
import models
import numpy as np
import pytest
from keras import layers
from keras.src import ops as source_of_ops

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types import registry as layer_registry
from keras_shapley_prune.layer_types.registry import find_layer_type, register_layer
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture
def registry(monkeypatch):
    """Lets a test register layers; the registry is as before afterwards."""
    monkeypatch.setattr(layer_registry, "LAYER_TYPES", dict(layer_registry.LAYER_TYPES))


def test_the_names_of_raw_operations_are_classes_of_keras():
    modules = [m for _, m in inspect.getmembers(source_of_ops, inspect.ismodule)]
    for name in layer_registry.OPERATION_TYPES:
        found = [getattr(m, name) for m in modules if hasattr(m, name)]
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


class ChannelScale(layers.Layer):
    """A layer of the user's with one weight a channel."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, inputs):
        return inputs * self.scale


class Doubler(layers.Layer):
    """A layer of the user's that brings each channel twice, side by side."""

    def call(self, inputs):
        return keras.ops.concatenate([inputs, inputs], axis=-1)


class Projection(layers.Layer):
    """A dense layer of the user's, with a size of its own."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], self.width), name="matrix")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.matrix)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def _with_user_layers():
    return models.randomize(
        keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, name="first"),
                ChannelScale(name="scaled"),
                Doubler(name="doubled"),
                Projection(5, name="projected"),
                layers.Dense(2, name="last"),
            ]
        )
    )


def test_a_users_layers_are_locked_until_they_are_registered(registry):
    model = _with_user_layers()
    assert "ChannelScale" in trace_channels(model).lock_reasons()["first"]
    register_layer(ChannelScale, flow="keep", weights={"scale": "i"})
    register_layer(
        Doubler,
        flow=lambda call, channels: np.tile(channels.ids(call.inputs[0]), 2),
    )
    register_layer(Projection, "mix", size="width", weights={"matrix": "io"})
    channel_map = trace_channels(model)
    assert [group.name for group in channel_map.groups] == ["first", "projected"]
    keep = models.random_keep(channel_map, 0.5)
    x = models.images(model)
    pruned = remove_channels(model, keep, channel_map)
    assert pruned.get_layer("projected").width == 3
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, x) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 1e-4


def test_an_unfit_call_of_a_registered_layer_is_locked(registry):
    register_layer(
        ChannelScale, "keep", weights={"scale": "i"}, unfit=lambda call: "feels ill"
    )
    reason = trace_channels(_with_user_layers()).lock_reasons()["first"]
    assert "ChannelScale feels ill (`scaled`)" in reason


def test_a_shared_layer_with_one_unfit_call_is_locked_everywhere(registry):
    register_layer(
        ChannelScale,
        "keep",
        weights={"scale": "i"},
        unfit=lambda call: "is the second" if call.index > 2 else None,
    )
    inputs = keras.Input((4,))
    scale = ChannelScale(name="scale")
    x = scale(layers.Dense(4, name="first")(inputs))
    x = scale(layers.Dense(4, name="second")(x))
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    channel_map = trace_channels(model)
    assert not channel_map.groups
    reasons = channel_map.lock_reasons()
    assert "ChannelScale is the second" in reasons["first"]
    assert "ChannelScale is the second" in reasons["second"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_class": "Dense", "flow": "mix"}, "`layer_class`.*'Dense'"),
        ({"layer_class": int, "flow": "mix"}, "`layer_class`.*int"),
        ({"layer_class": layers.Dense, "flow": "mixed"}, "`flow`.*'mix'.*'mixed'"),
        (
            {"layer_class": layers.Dense, "flow": "mix", "weights": {"kernel": "xy"}},
            "`weights`.*'kernel': 'xy'",
        ),
    ],
)
def test_register_layer_refuses(registry, arguments, words):
    before = dict(layer_registry.LAYER_TYPES)
    with pytest.raises(ValueError, match=words):
        register_layer(**arguments)
    assert before == layer_registry.LAYER_TYPES
