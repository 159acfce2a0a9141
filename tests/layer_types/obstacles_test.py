"""Tests of why a call cannot be pruned, and of what only a trial has shown."""

import functools
import warnings

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_shapley_prune
from keras_shapley_prune import (
    BaselineRanker,
    prune,
    register_elementwise,
    register_layer,
)
from keras_shapley_prune.layer_types import elementwise_activations, registry
from keras_shapley_prune.report.inspection import inspect
from keras_shapley_prune.trace.expansion.to_functional import to_functional
from keras_shapley_prune.trace.tracer import trace_channels


def mish(x):
    return x * ops.tanh(ops.softplus(x))


FUNCTIONS = {
    "own": mish,
    "lambda": lambda x: ops.minimum(ops.relu(x), 6.0),
    "partial": functools.partial(keras.activations.gelu, approximate=True),
    "of tf": tf.math.sin,
    "keras.ops": ops.silu,
    "not zero at zero": tf.cos,
}


def _network(function):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation=function, name="a")(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, name="b")(x))
    x = layers.Flatten()(layers.Activation(function)(x))
    x = layers.Dense(5, activation=function, name="c")(x)
    return models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_any_kind_are_pruned(name):
    model = _network(FUNCTIONS[name])
    assert set(trace_channels(model).lock_reasons()) == {"last"}
    models.check_masks(model)
    images = models.images(model, 16)
    pruned = prune(model, images, 0.5, verbose=0)
    # Keras cannot serialize all of them: the copy has the function itself.
    assert pruned.get_layer("a").activation is FUNCTIONS[name]
    assert pruned.get_layer("a").filters == 4


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_not_zero_at_zero_is_removed_behind_it(name):
    """A constant channel adds nothing, and is not made up for wrongly."""
    model = _network(FUNCTIONS[name])
    images = models.images(model, 64)
    weights = model.get_layer("a").get_weights()
    model.get_layer("a").set_weights([w * (np.arange(8) % 2) for w in weights])
    keep = np.ones(trace_channels(model).num_units, bool)
    (group,) = trace_channels(model).select_groups("a")
    keep[group.units[::2]] = False
    repaired = keras_shapley_prune.repair_channels(model, keep, images)
    outputs = [models.outputs_of(m, images) for m in (repaired, model)]
    assert models.relative_difference(*outputs) < 1e-2


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_models_that_are_code_may_have_such_functions(name):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Conv2D(8, 3, activation=FUNCTIONS[name])
            self.act, self.last = layers.Activation(FUNCTIONS[name]), layers.Dense(2)

        def call(self, inputs):
            return self.last(self.act(self.first(inputs)))

    net = Net()
    net(np.zeros((1, 8, 8, 3)))
    functional = to_functional(net)
    assert trace_channels(functional).groups
    models.check_masks(functional)


def test_mixing_activations_lock_what_they_read():
    model = _network(lambda x: x / (1 + ops.sum(x**2, axis=-1, keepdims=True)))
    reason = "activation <lambda> is not elementwise: output channel"
    for name, found in trace_channels(model).lock_reasons().items():
        assert found.startswith("model output" if name == "last" else reason)


def test_an_array_of_its_own_cannot_be_cut():
    slopes = np.linspace(0, 1, 8, dtype="float32")

    def prelu(x):
        return tf.where(x > 0, x, slopes * x)

    inputs = keras.Input((4,))
    x = layers.Dense(8, activation=prelu, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    reason = trace_channels(model).lock_reasons()["a"]
    assert reason.startswith("activation prelu is not elementwise: on 5 of 8 channels ")


class Scale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, inputs):
        return inputs * self.scale


@pytest.fixture
def registered(monkeypatch):
    """Lets a test register layers and functions."""
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    known = set(elementwise_activations.ELEMENTWISE)
    monkeypatch.setattr(elementwise_activations, "ELEMENTWISE", known)


class Projection(layers.Layer):
    """Keeps the name of its activation."""

    activation = "relu"

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, inputs):
        return keras.activations.get(self.activation)(inputs @ self.kernel)


@pytest.mark.filterwarnings("ignore:Projection is registered without")
def test_an_activation_may_be_a_name(registered):
    register_layer(Projection, "mix", weights={"kernel": "io"})
    inputs = keras.Input((3,))
    layer = Projection(name="own")
    model = keras.Model(inputs, layers.Dense(2, name="last")(layer(inputs)))
    assert set(trace_channels(model).lock_reasons()) == {"last"}
    layer.activation = "softmax"
    reasons = trace_channels(model).lock_reasons()
    assert "activation softmax is not elementwise: output" in reasons["own"]


def test_what_mixes_too_rarely_for_a_trial_is_not_returned():
    """Where it is found out, `prune` raises an error, as for any wrong declaration."""

    def rare(x):
        near = tf.abs(tf.reduce_sum(x, -1, keepdims=True) - 4.9) < 0.01
        return tf.where(near, tf.nn.softmax(x), x)

    inputs = keras.Input((4,))
    x = layers.Dense(8, activation=rare, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    assert set(trace_channels(model).lock_reasons()) == {"last"}
    kernel, bias = (0 * w for w in model.get_layer("a").get_weights())
    model.get_layer("a").set_weights([kernel, bias + 4.9 / 8])
    with pytest.raises(RuntimeError, match="if one was found by trial, see"):
        prune(model, np.ones((8, 4)), 0.5, repair=None, verbose=0)


def test_a_shared_layer_that_reads_the_input_first_is_tried():
    scale = Scale(name="scale")
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, name="a")(scale(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(scale(x)))
    # Its weight has an entry for each channel of the image.
    reasons = trace_channels(model).lock_reasons()
    assert "shared layer `scale` joins it with channels" in reasons["a"]


def test_what_was_found_by_trial_is_told():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation=mish, name="a")(inputs)
    x = layers.Conv2D(8, 3, activation="relu", name="b")(Scale(name="scale")(x))
    x = layers.LSTM(4, activation=tf.sin, name="lstm")(layers.Reshape((-1, 8))(x))
    x = layers.Dense(3, activation="softmax", name="last")(Scale(name="scale2")(x))
    report = inspect(keras.Model(inputs, x))
    expected = {
        "activation mish": ["a"],
        "Scale": ["scale", "scale2"],
        "activation sin": ["lstm"],
    }
    assert report.found_by_trial == expected
    lines = str(report).splitlines()
    start = lines.index("found by trial to keep channels apart")
    assert lines[start + 1 :] == [
        "    activation mish: a",
        "    Scale: scale, scale2",
        "    activation sin: lstm",
    ]


def test_nothing_is_told_where_nothing_was_tried():
    assert "trial" not in str(inspect(models.build(models.chain)))


def test_a_registered_function_is_not_tried(registered):
    def fussy(x):
        if tf.executing_eagerly() and len(x) == 5:
            raise RuntimeError("not on random numbers")
        return ops.relu(x)

    def build():
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(8, 3, activation=fussy, name="a")(inputs)
        x = layers.Lambda(fussy)(layers.Conv2D(8, 3, name="b")(x))
        return keras.Model(inputs, layers.Dense(2, name="last")(x))

    reasons = trace_channels(build()).lock_reasons()
    assert "it cannot be run: not on random numbers" in reasons["a"]
    assert "it cannot be run: not on random numbers" in reasons["b"]
    register_elementwise(fussy)
    channel_map = trace_channels(build())
    assert set(channel_map.lock_reasons()) == {"last"}
    assert channel_map.trials == {}
    models.check_masks(models.randomize(build()))


@pytest.mark.parametrize(
    "function", [None, "relu", 3, layers.ReLU(), layers.ReLU, type(lambda: 0), []]
)
def test_register_elementwise_refuses(registered, function):
    before = set(elementwise_activations.ELEMENTWISE)
    with pytest.raises(ValueError, match="Argument `function` should be a function"):
        register_elementwise(function)
    assert before == elementwise_activations.ELEMENTWISE


def test_a_registered_layer_is_not_tried(registered):
    register_layer(
        Scale, "keep", weights={"scale": "i"}, unfit=lambda call: "is not to be cut"
    )
    inputs = keras.Input((8, 8, 3))
    x = Scale(name="scale")(layers.Conv2D(8, 3, name="a")(inputs))
    reasons = trace_channels(keras.Model(inputs, layers.Dense(2)(x))).lock_reasons()
    assert reasons["a"] == "Scale is not to be cut (`scale`)"


def test_a_layer_as_an_activation_may_not_have_weights():
    inputs = keras.Input((4,))
    activation = Scale()
    x = layers.Dense(8, activation=activation, name="a")(inputs)
    reason = trace_channels(keras.Model(inputs, layers.Dense(2)(x))).lock_reasons()["a"]
    assert not activation.built
    assert "it has weights, or may get some, which could not be cut" in reason


def test_a_layer_as_an_activation_is_tried():
    class Twice(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    inputs = keras.Input((4,))
    x = layers.Dense(8, activation=Twice(), name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    assert set(trace_channels(model).lock_reasons()) == {"last"}


class Gain(layers.Layer):
    """A factor for all channels, named like that of a normalization."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=(), initializer="ones", name="gamma")

    def call(self, inputs):
        return inputs * self.gamma


def test_a_factor_for_all_channels_is_no_score():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(8, 3, name="a")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(Gain()(x)))
    gamma = np.linspace(-1, 1, 8)
    model.get_layer("bn").gamma.assign(gamma)
    ranking = BaselineRanker("bn_gamma").rank(model, verbose=0)
    np.testing.assert_allclose(ranking["a"].values, np.abs(gamma), rtol=1e-6)


def _reason(step):
    """Returns why what stands before a step is locked."""
    inputs = keras.Input((8, 8, 3))
    x = step(layers.Conv2D(4, 3, name="a")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    return trace_channels(model).lock_reasons()["a"]


class _Mixing(layers.Layer):
    def call(self, inputs):
        return ops.cumsum(inputs, axis=-1)


class _MadeOfLayers(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(4)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize(
    ("step", "kind", "way"),
    [
        (_Mixing(), "a registered layer", "to_functional and register_layer"),
        (
            _MadeOfLayers(),
            "a registered layer",
            "see keras_shapley_prune.to_functional",
        ),
        (
            layers.Lambda(lambda x: ops.cumsum(x, axis=-1)),
            "a registered layer",
            "see keras_shapley_prune.to_functional and register_elementwise",
        ),
        (ops.layer_normalization, "a known operation", "LayerNorm"),
    ],
)
def test_the_reason_says_what_it_is_and_what_can_be_done(step, kind, way):
    reason = _reason(step)
    assert f"is not {kind}, nor elementwise by trial: " in reason
    assert way in reason
    assert ("register_layer" in reason) == isinstance(step, (_Mixing, _MadeOfLayers))


def test_weights_that_are_not_known():
    layer = layers.Dense(4)
    inputs = keras.Input((8, 8, 3))
    x = layer(layers.Conv2D(4, 3, name="a")(inputs))
    layer.enable_lora(2)
    model = keras.Model(inputs, layers.Dense(2)(x))
    reason = trace_channels(model).lock_reasons()["a"]
    assert "lora_kernel_a" in reason
    assert "which nothing would cut" in reason


class Swapped(layers.Layer):
    """Swaps channels by code, which a graph can tell and a trial cannot."""

    def __init__(self, regularizer=None, **kwargs):
        super().__init__(activity_regularizer=regularizer, **kwargs)
        self.dense = layers.Dense(6, name="dense")

    def call(self, inputs):
        return ops.roll(self.dense(inputs), 1, axis=1)


@pytest.mark.parametrize("regularizer", [None, "l2"])
def test_the_reason_names_the_way_out_unless_that_was_tried(regularizer):
    inputs = keras.Input((4, 3))
    x = Swapped(regularizer, name="odd")(layers.Dense(6, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    way = "see keras_shapley_prune.to_functional"
    assert way in trace_channels(model).lock_reasons()["before"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has been kept as it is
        functional = to_functional(model)
    reasons = trace_channels(functional).lock_reasons()
    assert way not in str(reasons)
    assert ("before" in reasons) == (regularizer is not None)
