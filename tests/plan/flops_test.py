"""Tests of what a network costs: FLOPs."""

import keras
import models
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels


def _count(*steps, shape=(8, 8, 3)):
    return count_flops(keras.Sequential([keras.Input(shape), *steps]))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3), 2 * 9 * 3 * 5 * 36),
        (layers.Conv2D(5, 3, padding="same", use_bias=False), 2 * 9 * 3 * 5 * 64),
        (layers.Conv2D(5, (3, 2), strides=2, padding="same"), 2 * 6 * 3 * 5 * 16),
        (layers.Conv2D(6, 3, dilation_rate=2), 2 * 9 * 3 * 6 * 16),
        (layers.Conv2D(6, 1, groups=3), 2 * 1 * 6 * 64),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 2 * 9 * 3 * 2 * 36),
        (
            layers.SeparableConv2D(7, 3, depth_multiplier=2),
            2 * (9 * 3 * 2 + 6 * 7) * 36,
        ),
        (layers.Conv2DTranspose(4, 3, strides=2), 2 * 9 * 3 * 4 * 64),
        (layers.Conv2DTranspose(4, 3, strides=2, padding="same"), 2 * 9 * 3 * 4 * 64),
        (layers.Dense(5), 2 * 3 * 5 * 64),
        (layers.BatchNormalization(), 0),
        (layers.MaxPooling2D(), 0),
        (layers.PReLU(), 0),
        (layers.PReLU(shared_axes=[1, 2]), 0),
        (layers.Flatten(), 0),
    ],
)
def test_flops_of_a_layer(layer, expected):
    assert _count(layer) == expected


def test_flops_of_a_dense_layer_on_vectors():
    assert _count(layers.Dense(5), shape=(7,)) == 2 * 7 * 5


def test_flops_of_an_embedding_are_none():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(100, 8)(inputs)
    assert count_flops(keras.Model(inputs, layers.Dense(2)(x))) == 2 * 8 * 2 * 6


def test_a_layer_that_is_called_twice_counts_twice():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    assert count_flops(keras.Model(inputs, dense(dense(inputs)))) == 2 * 2 * 16


def test_a_model_as_a_layer_counts_as_its_layers():
    steps = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(5)]
    expected = _count(*steps)
    inner = keras.Sequential([keras.Input((8, 8, 3)), *steps])
    assert _count(inner) == expected


def test_unknown_sizes_give_none():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    assert count_flops(keras.Model(inputs, layers.Dense(2)(x))) is None
    assert _count(layers.MaxPooling2D(), shape=(None, None, 3)) == 0


def test_flops_agree_with_tensorflows_profiler():
    model = models.build(models.chain)
    view = tf.function(lambda x: model(x, training=False))
    graph = view.get_concrete_function(tf.TensorSpec((1, 12, 12, 3))).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    options["min_float_ops"] = 1
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)

    def walk(node):
        yield node.name, node.float_ops
        for child in node.children:
            yield from walk(child)

    counts = dict(walk(profile))
    assert count_flops(model) == counts["Conv2D"] + counts["MatMul"]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", [models.residual, models.nested, models.recurrent])
def test_flops_fall_and_nothing_changes(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    pruned = remove_channels(model, keep, channel_map)
    assert 0 < count_flops(pruned) < count_flops(model)
    assert models.snapshot(model, inputs) == before


def _any_size(shape, *steps):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *steps])


UNKNOWN = [
    ((None, None, 3), (9, 7, 3), lambda: [layers.Conv2D(4, 3), layers.Conv2D(2, 1)]),
    ((None, 8), (11, 8), lambda: [layers.Conv1D(4, 3), layers.LSTM(5)]),
    ((None, 8), (11, 8), lambda: [layers.Dense(4), layers.GlobalMaxPooling1D()]),
    ((None,), (5,), lambda: [layers.Embedding(9, 8), layers.Dense(4)]),
    ((None, 6, None, 2), (5, 6, 4, 2), lambda: [layers.Conv3D(4, 3)]),
]


@pytest.mark.sweep(2)
@pytest.mark.parametrize(("shape", "given", "make_steps"), UNKNOWN)
def test_flops_of_any_size_are_those_of_the_size_given(shape, given, make_steps):
    model = _any_size(shape, *make_steps())
    assert count_flops(model) is None
    expected = count_flops(_any_size(given, *make_steps()))
    assert count_flops(model, given) == expected > 0
    nested = _any_size(shape, model)
    assert count_flops(nested, given) == expected


def test_flops_of_attention_and_of_joined_branches_of_any_size():
    def build(length):
        x = keras.Input((length, 8))
        attended = layers.MultiHeadAttention(2, 4)(x, x)
        joined = keras.ops.concatenate([x + attended, x], axis=-1)
        return keras.Model(x, layers.Dense(3)(joined))

    assert count_flops(build(None), (6, 8)) == count_flops(build(6))


def test_a_size_that_does_not_fit_is_refused():
    model = _any_size((None, None, 3), layers.Conv2D(4, 3))
    with pytest.raises(ValueError, match=r"Received: input_shape=\(9, 9, 1\)"):
        count_flops(model, (9, 9, 1))
