"""Tests of attention whose heads leave."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune import (
    BaselineRanker,
    ShapleyRanker,
    games,
    prune,
    repair_channels,
)
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.masked_calls import Mask, run_masked
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels


def _between(attention, shape=(6, 4), **arguments):
    """Dense -> attention -> Dense: three readers of the first one's channels."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Dense(8, activation="tanh", name="before")(inputs)
    x = attention(x, x, **arguments)
    x = layers.Dense(3, name="after")(x)
    return models.randomize(keras.Model(inputs, x))


ATTENTIONS = [
    (lambda: layers.MultiHeadAttention(4, 5), {}),
    (lambda: layers.MultiHeadAttention(4, 5, value_dim=3, use_bias=False), {}),
    (lambda: layers.MultiHeadAttention(4, 2, output_shape=7), {}),
    (lambda: layers.MultiHeadAttention(4, 2, dropout=0.1), {"use_causal_mask": True}),
    (lambda: layers.MultiHeadAttention(4, 5), {"use_causal_mask": True}),
    (lambda: layers.GroupQueryAttention(3, 8, 4), {}),
    (lambda: layers.GroupQueryAttention(3, 4, 4), {"use_causal_mask": True}),
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("make, arguments", ATTENTIONS)
def test_masked_equals_pruned(make, arguments):
    model = _between(make(), **arguments)
    models.check_masks(model)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("axes", [1, 2, (1, 2)])
def test_attention_along_some_axes(axes):
    attention = layers.MultiHeadAttention(3, 4, attention_axes=axes)
    models.check_masks(_between(attention, shape=(3, 4, 2)))


def test_query_value_and_key_of_different_width():
    keras.utils.set_random_seed(0)
    one, other = keras.Input((6, 4)), keras.Input((5, 3))
    query, key, value = (
        layers.Dense(width, activation="tanh", name=name)(x)
        for x, width, name in ((one, 8, "q"), (other, 7, "k"), (other, 6, "v"))
    )
    x = layers.MultiHeadAttention(4, 5, name="attention")(query, key=key, value=value)
    x = layers.Dense(3)(x)
    model = models.randomize(keras.Model([one, other], x))
    groups = {g.name: g.num_units for g in trace_channels(model).groups}
    assert groups == {"q": 8, "k": 7, "v": 6, "attention": 8, "attention/heads": 4}
    models.check_masks(model)
    smaller = remove_channels(model, models.random_keep(trace_channels(model), 0.5))
    attention = smaller.get_layer("attention")
    assert (attention.num_heads, attention.key_dim) == (2, 5)
    assert [w.shape[0] for w in (attention.query_dense.kernel,)] == [4]


@pytest.mark.sweep(3)
@pytest.mark.parametrize("make, arguments", ATTENTIONS)
def test_costs_are_those_of_the_cut_model(make, arguments):
    model = _between(make(), **arguments)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    smaller = remove_channels(model, keep, channel_map)
    for of, count in (("params", keras.Model.count_params), ("flops", count_flops)):
        cost = CostModel(channel_map, of)
        assert cost.count(np.ones(channel_map.num_units, bool)) == count(model)
        assert cost.count(keep) == count(smaller)


def test_flops_of_an_attention():
    inputs, memory = keras.Input((6, 8)), keras.Input((5, 7))
    x = layers.MultiHeadAttention(4, 3, value_dim=2)(inputs, memory)
    projections = 6 * 8 * 12 + 5 * 7 * 12 + 5 * 7 * 8 + 6 * 8 * 8
    products = 4 * 6 * 5 * (3 + 2)
    model = keras.Model([inputs, memory], x)
    assert count_flops(model) == 2 * (projections + products)


@pytest.mark.sweep(3)
@pytest.mark.parametrize("make, arguments", ATTENTIONS)
def test_the_linear_form_is_the_output_projection(make, arguments):
    model = _between(make(), **arguments)
    (call,) = [
        c for c in trace_channels(model).graph.calls if "attention" in c.operation.name
    ]
    form = find_linear_form(call.operation)
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    mask = Mask(tf.constant([[1.0, 0, 1, 1], [0.0, 0, 1, 0]]))
    (expected,) = run_masked(call, [x, x], {INSIDE: mask})
    heads = form.mask(form.read(call, [x, x], {}), mask)
    np.testing.assert_allclose(form.apply(heads), expected, atol=1e-5)
    product = form.rows(heads).numpy() @ form.matrix
    product = product + (0 if form.bias is None else form.bias)
    np.testing.assert_allclose(product, expected, atol=1e-5)
    left = form.rows(heads).numpy()[1].any(axis=0)
    np.testing.assert_array_equal(left, form.channel_of == 2)
    form.assign(2 * form.matrix)
    if form.bias is not None:
        form.assign_bias(2 * form.bias)
    np.testing.assert_allclose(form.apply(heads), 2 * expected, atol=1e-5)


def _reasons(make_outputs):
    inputs = keras.Input((6, 4), name="tokens")
    x = layers.Dense(8, name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="after")(make_outputs(x)))
    return trace_channels(model).lock_reasons()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (
            lambda layer, x: layer(x, x, return_attention_scores=True)[0],
            "returns its attention scores",
        ),
        (
            lambda layer, x: layer(layers.Masking()(x), x),
            "mask of time steps",
        ),
        (
            lambda layer, x: layer(x, x, query_mask=np.ones((1, 6), bool)),
            "is given masks",
        ),
    ],
)
def test_what_is_not_exact_is_locked(use, words):
    layer = layers.MultiHeadAttention(2, 3, name="attention")
    assert words in _reasons(lambda x: use(layer, x))["attention"]


def test_channels_on_two_axes_are_locked():
    layer = layers.MultiHeadAttention(2, 3, output_shape=(2, 5), name="attention")
    reasons = _reasons(lambda x: layer(x, x))
    assert "more than one axis" in reasons["attention"]


def test_what_masks_the_attention_is_locked():
    layer = layers.MultiHeadAttention(2, 3, name="attention")

    def masked(x):
        return layer(x, x, attention_mask=layers.Dense(6, name="mask")(x) > 0)

    reasons = _reasons(masked)
    assert "mask" in reasons


def test_queries_are_tied_to_values_that_cannot_be_removed():
    inputs = keras.Input((5, 8))
    x = layers.Dense(8, name="queries")(inputs)
    x = layers.GroupQueryAttention(4, 4, 2, name="attention")(x, inputs)
    reasons = trace_channels(keras.Model(inputs, layers.Dense(2)(x))).lock_reasons()
    what = "needs queries, values and outputs alike, and ties it to channels"
    expected = f"`attention` {what} that cannot be removed"
    assert reasons["queries"] == reasons["attention"] == expected


def test_an_attention_mask_may_be_an_input():
    keras.utils.set_random_seed(0)
    inputs, mask = keras.Input((6, 4)), keras.Input((6, 6))
    x = layers.Dense(8, activation="tanh")(inputs)
    x = layers.MultiHeadAttention(4, 3)(x, x, attention_mask=mask)
    model = models.randomize(keras.Model([inputs, mask], layers.Dense(3)(x)))
    generator = np.random.default_rng(0)
    values = generator.normal(size=(3, 6, 4)), generator.integers(0, 2, (3, 6, 6))
    models.check_masks(model, inputs=[v.astype("float32") for v in values])


def _transformer():
    """A small ViT, and data for it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 2, strides=2, name="patches")(inputs)
    x = layers.Reshape((16, 8))(x)
    for i in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(4, 3, name=f"attention{i}")(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(12, activation="gelu", name=f"wide{i}")(y)
        x = layers.Add()([x, layers.Dense(8, name=f"narrow{i}")(y)])
    x = keras.ops.mean(layers.LayerNormalization()(x), axis=1)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    models.randomize(model)
    labels = np.random.default_rng(0).integers(0, 4, 16)
    return model, (models.images(model, 16), labels)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "ranker",
    [
        None,
        ShapleyRanker("loss"),
        ShapleyRanker(games.Loss(replacement="mean")),
        BaselineRanker("l1_norm"),
        BaselineRanker("mean_activation"),
    ],
)
def test_a_transformer_is_pruned_end_to_end(ranker):
    model, data = _transformer()
    pruned = prune(model, data, 0.5, ranker=ranker, verbose=0)  # which verifies
    assert [pruned.get_layer(f"attention{i}").num_heads for i in (0, 1)] == [2, 2]
    assert pruned.get_layer("narrow0").units == 4
    assert pruned.count_params() < 0.5 * model.count_params()


@pytest.mark.eager
def test_a_head_that_does_nothing_is_worth_nothing():
    model, data = _transformer()
    kernel = model.get_layer("attention0").output_dense.kernel
    silenced = kernel.numpy()
    silenced[2] = 0
    kernel.assign(silenced)
    for value in ("reconstruction", "loss"):
        ranker = ShapleyRanker(value)
        ranking = ranker.rank(model, data, layers="attention0", verbose=0)
        values = np.abs(ranking["attention0/heads"].values)
        assert values.argmin() == 2
    assert values[2] < 1e-6 < np.delete(values, 2).min()


@pytest.mark.eager
def test_repair_refits_the_output_projection():
    model, (x, _) = _transformer()
    before = models.outputs_of(model, x)
    channel_map = trace_channels(model)
    (heads,) = [g for g in channel_map.groups if g.name == "attention0/heads"]
    keep = np.ones(channel_map.num_units, bool)
    keep[heads.units[1]] = False
    errors, kernels = [], []
    for repair in (None, "least_squares"):
        pruned = repair_channels(model, keep, x, repair)
        errors.append(models.relative_difference(models.outputs_of(pruned, x), before))
        kernels.append(pruned.get_layer("attention0").output_dense.kernel.numpy())
    assert errors[1] < 0.6 * errors[0]
    assert np.abs(kernels[1] - kernels[0]).max() > 0.01


def test_an_attention_behind_a_split_of_channels():
    """Whether the split is of heads is looked for ahead: there is another attention."""
    inputs = keras.Input((7, 6))
    x = layers.Dense(8, name="first")(inputs)
    x = keras.ops.reshape(x, (-1, 7, 2, 4)) * 2.0
    x = keras.ops.reshape(x, (-1, 7, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = models.randomize(keras.Model(inputs, layers.Dense(3)(x)))
    sizes = {group.name: group.num_units for group in trace_channels(model).groups}
    assert sizes == {"first": 4, "attention/heads": 2, "attention": 8}
    models.check_masks(model)
