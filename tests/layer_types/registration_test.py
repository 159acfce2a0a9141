"""Tests of what users say of layer types of their own."""

import warnings

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types import registry as layer_registry
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.layer_types.registry import find_layer_type, find_linear_form
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels

# Of some layers here it is not said what they compute.
pytestmark = pytest.mark.filterwarnings("ignore:.* is registered without what it")


@pytest.fixture
def registry(monkeypatch):
    """Lets a test register layers; the registry is as before afterwards."""
    monkeypatch.setattr(layer_registry, "LAYER_TYPES", dict(layer_registry.LAYER_TYPES))


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
    assert (
        "Doubler is not a registered" in trace_channels(model).lock_reasons()["first"]
    )
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


class Thin(layers.Layer):
    """A layer of the user's that has one factor for each pair of channels."""

    def build(self, shape):
        self.pairs = self.add_weight(shape=(shape[-1], 5), name="pairs")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.pairs)


class Upwards(layers.Conv1DTranspose):
    """A subclass of a layer that applies its kernel at the input's positions."""


def _alone(layer, shape=(6, 4)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def test_the_short_form_counts_kernels_whatever_their_names(registry):
    model = _alone(Thin())
    assert count_flops(model) == 0  # it is not known that it multiplies
    register_layer(Thin, flow="mix", weights={"pairs": "io"})
    assert count_flops(model) == 2 * 4 * 5 * 6


def test_a_subclass_counts_where_its_parent_applies_the_kernel(registry):
    model = _alone(Upwards(5, 3, strides=2))
    expected = count_flops(_alone(layers.Conv1DTranspose(5, 3, strides=2)))
    assert count_flops(model) == expected == 2 * 3 * 4 * 5 * 6
    register_layer(Upwards, "mix", "filters", {"kernel": "oi", "bias": "o"})
    assert count_flops(model) == expected


def test_an_expanding_layer_of_several_axes_counts(registry):
    class Taps(layers.DepthwiseConv1D):
        def build(self, shape):
            self.taps = self.add_weight(shape=(3, shape[-1], 1), name="taps")

    register_layer(Taps, flow="expand", weights={"taps": ".i.", "kernel": "i."})
    layer = Taps(3)
    layer.build((None, 6, 4))
    kernels = find_layer_type(layer).kernels(layer)
    assert [(weight.name, letters) for weight, letters in kernels] == [("taps", ".i.")]


def test_what_the_short_form_does_not_say_is_said_aloud(registry):
    with pytest.warns(UserWarning, match="Thin is registered without what") as found:
        register_layer(Thin, flow="mix", weights={"pairs": "io"})
    assert found[0].filename == __file__  # the user's line, not one of ours
    with pytest.warns(UserWarning, match="Thin is registered without what"):
        register_layer(Thin, flow="mix")  # it mixes, whatever its weights are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_layer(ChannelScale, flow="keep", weights={"scale": "i"})
        register_layer(Upwards, like=layers.Conv1DTranspose)


def test_what_is_like_another_layer_has_its_type(registry):
    register_layer(Upwards, like=layers.Conv1DTranspose)
    layer = _alone(Upwards(5, 3)).layers[-1]
    assert find_layer_type(layer) is layer_registry.LAYER_TYPES[layers.Conv1DTranspose]
    assert find_linear_form(layer) is not None


class KeepType(LayerType):
    def flow(self, call, channels):
        return channels.ids(call.inputs[0])


DENSE = {"layer_class": layers.Dense}
TYPE = KeepType()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer_class": "Dense", "flow": "mix"}, "`layer_class`.*'Dense'"),
        ({"layer_class": int, "flow": "mix"}, "`layer_class`.*int"),
        (DENSE | {"flow": "mixed"}, "`flow`.*'mix'.*'mixed'"),
        (DENSE, "`flow`.*Received: flow=None"),
        (DENSE | {"flow": 3}, "`flow`.*Received: flow=3"),
        (DENSE | {"flow": KeepType}, "not the class. Received: flow=.*KeepType"),
        (DENSE | {"flow": LayerType()}, "overrides its method `flow`.*LayerType"),
        (
            DENSE | {"flow": "mix", "weights": {"kernel": "xy"}},
            "`weights`.*'kernel': 'xy'",
        ),
        (DENSE | {"flow": "mix", "weights": ["kernel"]}, r"`weights`.*\['kernel'\]"),
        (DENSE | {"flow": "mix", "size": 5}, "`size`.*size=5"),
        (DENSE | {"flow": "mix", "unfit": "never"}, "`unfit`.*unfit='never'"),
        (DENSE | {"flow": TYPE, "size": "units"}, "`flow`.*KeepType.*size='units'"),
        (
            DENSE | {"flow": "mix", "like": layers.Conv1D},
            "`like`.*Conv1D.*, flow='mix'",
        ),
        (DENSE | {"flow": TYPE, "like": layers.Conv1D}, "`like`.*flow=.*KeepType"),
        (DENSE | {"like": "Conv1D"}, "`like` should be a subclass.*like='Conv1D'"),
        (DENSE | {"like": layers.FlaxLayer}, "`like`.*registered.*FlaxLayer"),
    ],
)
def test_register_layer_refuses(registry, arguments, words):
    before = dict(layer_registry.LAYER_TYPES)
    with pytest.raises(ValueError, match=words):
        register_layer(**arguments)
    assert before == layer_registry.LAYER_TYPES
