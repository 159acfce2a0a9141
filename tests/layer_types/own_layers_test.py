"""Own layers of each kind: masked is pruned is counted is repaired, as Keras's are."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune import (
    LayerType,
    ShapleyRanker,
    games,
    register_layer,
    repair_channels,
)
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.bias_folding import can_take_bias
from keras_shapley_prune.layer_types.depthwise_forms import DepthwiseForm
from keras_shapley_prune.layer_types.linear_forms import DenseForm
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.repair import depthwise
from keras_shapley_prune.repair.depthwise import apply_depthwise, fit_scales
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

STEPS, WIDTH = 6, 8  # positions, and channels that the own layer reads


class Mixing(layers.Layer):
    """A dense layer by other names."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.activation = keras.activations.tanh

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], self.width), name="matrix")
        self.offset = self.add_weight(shape=(self.width,), name="offset")

    def call(self, inputs):
        return self.activation(ops.matmul(inputs, self.matrix) + self.offset)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


class MatrixForm(DenseForm):
    @property
    def kernel_weight(self):
        return self.operation.matrix

    @property
    def bias_weight(self):
        return self.operation.offset


class MixingType(LayerType):
    def flow(self, call, channels):
        channels.consume(call, 0)
        return channels.produce(call)

    def weights(self, operation):
        return {"matrix": "io", "offset": "o"}

    def resize(self, config, kept):
        config["width"] = int(kept["o"].sum())

    def linear_form(self, operation):
        return MatrixForm(operation)


class ChannelScale(layers.Layer):
    """A factor for each channel."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, inputs):
        return inputs * self.scale


class Fan(layers.Layer):
    """Several multiples of each channel, side by side: depthwise."""

    depth_multiplier = 2

    def build(self, shape):
        self.factors = self.add_weight(shape=(shape[-1], 2), name="factors")
        self.bias = self.add_weight(shape=(2 * shape[-1],), name="bias")

    def call(self, inputs):
        multiples = inputs[..., None] * self.factors
        return ops.reshape(multiples, (*ops.shape(inputs)[:-1], -1)) + self.bias


class FanForm(DepthwiseForm):
    def apply_kernel(self, inputs):
        multiples = inputs[..., None] * self.operation.factors
        return ops.reshape(multiples, (*inputs.shape[:-1], -1))

    def scale(self, factors):
        weight = self.operation.factors
        weight.assign(weight * factors.reshape(weight.shape))


class FanType(LayerType):
    def flow(self, call, channels):
        return np.repeat(channels.ids(call.inputs[0]), 2)

    def weights(self, operation):
        return {"factors": "i.", "bias": "o"}

    def kernels(self, operation):
        return [(operation.factors, "i.")]

    def depthwise_form(self, operation):
        return FanForm(operation)


class Sum(layers.Layer):
    """An addition, called with its two terms."""

    def call(self, first, second):
        return first + second


class SumType(LayerType):
    sums_inputs = True

    def flow(self, call, channels):
        first, second = map(channels.ids, call.inputs)
        channels.tie(first, second, "joined")
        return first


class Centre(layers.Layer):
    """Subtracts the mean over the channels."""

    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=-1, keepdims=True)


class CentreType(LayerType):
    def flow(self, call, channels):
        channels.observe(call, 0)
        return channels.ids(call.inputs[0])

    def masked(self, operation, masks, inputs):
        there = masks[0].along(inputs) * ops.ones_like(inputs)
        count = ops.maximum(ops.sum(there, axis=-1, keepdims=True), 1)
        return inputs - ops.sum(inputs, axis=-1, keepdims=True) / count


class Named(layers.DepthwiseConv1D):
    """A subclass that computes what its parent computes."""


# What to register, a layer of the kind, and its multiplications a position.
KINDS = {
    "mix": (Mixing, MixingType(), lambda: Mixing(5, name="own"), 8 * 5, 5),
    "keep": (ChannelScale, "keep", lambda: ChannelScale(name="own"), 0, 8),
    "expand": (Fan, FanType(), lambda: Fan(name="own"), 16, 16),
    "join": (Sum, SumType(), lambda: Sum(name="own"), 0, 8),
    "normalize": (Centre, CentreType(), lambda: Centre(name="own"), 0, 8),
    "like": (
        Named,
        layers.DepthwiseConv1D,
        lambda: Named(3, padding="same", name="own"),
        3 * 8,
        8,
    ),
}


@pytest.fixture(autouse=True)
def own_layers(monkeypatch):
    """Registers the own layers; the registry is as before afterwards."""
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    for layer_class, what, *_ in KINDS.values():
        if isinstance(what, type):
            register_layer(layer_class, like=what)
        elif isinstance(what, str):
            register_layer(layer_class, flow=what, weights={"scale": "i"})
        else:
            register_layer(layer_class, what)


def _build(kind):
    """Returns a network with an own layer between a dense layer "a" and the last."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, 4))
    read = [layers.Dense(WIDTH, activation="tanh", name="a")(inputs)]
    if kind == "join":
        read.append(layers.Dense(WIDTH, activation="tanh", name="b")(inputs))
    x = KINDS[kind][2]()(*read)
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="last")(x)))


def _error(model, other, inputs):
    outputs = (models.outputs_of(m, inputs)[0] for m in (model, other))
    return float(np.square(np.subtract(*outputs)).mean())


@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", KINDS)
def test_masked_is_pruned(kind):
    models.check_masks(_build(kind))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", KINDS)
def test_pruned_is_counted(kind):
    model = _build(kind)
    own, width = KINDS[kind][3:]
    before = 2 * 4 * WIDTH if kind == "join" else 4 * WIDTH
    assert count_flops(model) == 2 * STEPS * (before + own + 3 * width)
    channel_map = trace_channels(model)
    for seed in range(3):
        keep = models.random_keep(channel_map, 0.4, seed)
        smaller = remove_channels(model, keep, channel_map)
        assert CostModel(channel_map, "params").count(keep) == smaller.count_params()
        assert CostModel(channel_map, "flops").count(keep) == count_flops(smaller)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", KINDS)
def test_pruned_is_repaired(kind):
    model, inputs = _build(kind), np.random.default_rng(1).normal(size=(64, STEPS, 4))
    keep = models.random_keep(trace_channels(model), 0.4)
    plain, repaired = (
        repair_channels(model, keep, inputs, repair=repair)
        for repair in (None, "least_squares")
    )
    assert _error(model, repaired, inputs) < 0.5 * _error(model, plain, inputs)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", KINDS)
def test_repair_is_exact_where_removed_units_are_copies_of_kept_ones(kind):
    model, inputs = _build(kind), np.random.default_rng(1).normal(size=(64, STEPS, 4))
    half = WIDTH // 2
    names = ["a", "b"] if kind == "join" else ["a"]
    for layer in [model.get_layer(name) for name in names]:
        layer.set_weights([np.tile(w[..., :half], 2) for w in layer.get_weights()])
    if kind == "like":  # its taps differ from channel to channel
        kernel, bias = model.get_layer("own").get_weights()
        kernel[:, half:] = kernel[:, :half]
        model.get_layer("own").set_weights([kernel, bias])
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[half:]] = False
    plain, repaired = (
        repair_channels(model, keep, inputs, repair=repair)
        for repair in (None, "least_squares")
    )
    exact = 1e-3 * np.square(models.outputs_of(model, inputs)[0]).mean()
    assert _error(model, plain, inputs) > 10 * exact
    assert _error(model, repaired, inputs) < exact


@pytest.mark.parametrize("kind", ["expand", "like"])
def test_a_layer_that_keeps_channels_apart_is_scaled(monkeypatch, kind):
    monkeypatch.setattr(depthwise, "RIDGE", 1e-8)
    layer = _build(kind).get_layer("own")
    inputs = np.random.default_rng(1).normal(size=(32, STEPS, WIDTH), loc=0.5)
    inputs = tf.constant(inputs, tf.float32)
    target = layer(inputs)
    np.testing.assert_allclose(apply_depthwise(layer, inputs, bias=True), target, 1e-4)
    changed = inputs * np.linspace(0.3, 2, WIDTH, dtype="float32")
    bias = fit_scales(layer, [(apply_depthwise(layer, changed), target)], True)
    repaired = apply_depthwise(layer, changed) + bias
    np.testing.assert_allclose(repaired, target, atol=1e-3)
    assert (
        np.abs(layer(changed) - target).max() < 0.05 + np.abs(bias - layer.bias).max()
    )


def _subclass(parent):
    """Returns a subclass that is registered as what computes the same."""
    name = f"Own{parent.__name__}"
    child = type(name, (parent,), {"__doc__": "Computes what its parent does."})
    register_layer(child, like=parent)
    return keras.saving.register_keras_serializable("own_layers_test")(child)


def _attend_to_itself(layer):
    return lambda x: layer(x, x)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("parent", "build"),
    [
        (layers.LSTM, lambda kind: kind(5, return_sequences=True)),
        (layers.GRU, lambda kind: layers.Bidirectional(kind(5, return_sequences=True))),
        (layers.MultiHeadAttention, lambda kind: _attend_to_itself(kind(4, 3))),
        (layers.GroupNormalization, lambda kind: kind(2)),
        (layers.Conv1D, lambda kind: kind(8, 3, groups=2)),
        (layers.Conv1DTranspose, lambda kind: kind(5, 3, strides=2)),
        (layers.SeparableConv1D, lambda kind: kind(5, 3)),
        (layers.EinsumDense, lambda kind: kind("abc,cd->abd", (STEPS, 5))),
        (layers.Normalization, lambda kind: kind()),
    ],
)
def test_a_subclass_is_like_its_parent(parent, build):
    models_of = []
    for kind in (_subclass(parent), parent):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((STEPS, 4))
        x = layers.Dense(WIDTH, activation="tanh", name="a")(inputs)
        outputs = layers.Dense(3, name="last")(build(kind)(x))
        models_of.append(models.randomize(keras.Model(inputs, outputs)))
    ours, theirs = models_of
    models.check_masks(ours)
    assert count_flops(ours) == count_flops(theirs)
    inputs = np.random.default_rng(1).normal(size=(32, STEPS, 4))
    keep = models.random_keep(trace_channels(ours), 0.4)
    repaired = [repair_channels(model, keep, inputs) for model in models_of]
    for found, expected in zip(*(m.get_weights() for m in repaired), strict=True):
        np.testing.assert_array_equal(found, expected)


def _with_skip():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, 4))
    x = layers.Dense(8, activation="tanh", name="u")(inputs)
    skip = layers.Dense(6, name="skip")(x)
    x = layers.Dense(16, activation="tanh", name="inner")(skip)
    x = Sum(name="own")(skip, layers.Dense(6, name="outer")(x))
    return models.randomize(keras.Model(inputs, x))


def test_an_own_addition_lets_a_layer_make_up_for_the_skip_connection():
    model, inputs = _with_skip(), np.random.default_rng(1).normal(size=(64, STEPS, 4))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    (group,) = channel_map.select_groups("u")
    keep[group.units[:5]] = False
    errors = []
    for layer_type in (SumType(), "join"):
        register_layer(Sum, layer_type)
        errors.append(_error(model, repair_channels(model, keep, inputs), inputs))
    assert errors[0] < 0.95 * errors[1]


def test_an_own_normalization_takes_a_constant():
    class Counted(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs, training=training, mask=mask)

    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    graph = record_graph(keras.Model(inputs, layers.ReLU()(Counted()(x))))
    assert not can_take_bias(graph, graph.calls[0])
    register_layer(Counted, like=layers.BatchNormalization)
    assert can_take_bias(graph, graph.calls[0])


@pytest.mark.slow
def test_sampled_games_subtract_what_an_own_layer_reads():
    """The incremental walk, and means in the place of removed units, use its form."""
    model, inputs = _build("mix"), np.random.default_rng(1).normal(size=(16, STEPS, 4))
    twin = keras.Sequential([keras.Input((STEPS, 4))])
    twin.add(layers.Dense(WIDTH, activation="tanh", name="a"))
    twin.add(layers.Dense(5, activation="tanh", name="own"))
    twin.add(layers.Dense(3, name="last"))
    twin.set_weights(model.get_weights())
    ranker = ShapleyRanker(games.KL(replacement="mean"))
    ours, theirs = (ranker.rank(m, inputs, verbose=0) for m in (model, twin))
    for name in ("a", "own"):
        np.testing.assert_allclose(ours[name].values, theirs[name].values, atol=1e-6)
