"""Tests of walks that subtract against walks that run every coalition."""

import functools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.masked_calls import masks_at
from keras_shapley_prune.rank.estimators import Permutation
from keras_shapley_prune.rank.estimators.walks import draw_ranks
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.rank.sampled import incremental, sampler
from keras_shapley_prune.rank.sampled.game import CoalitionValues, OutputGame
from keras_shapley_prune.rank.sampled.incremental import plan_incremental
from keras_shapley_prune.rank.sampled.replacement import mean_shifts
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.sampled.values import CallableValue
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 3


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Makes increments pay on small models."""
    monkeypatch.setattr(incremental, "_WORTHWHILE", 0)


def _mean_square(labels, outputs):
    outputs = keras.tree.flatten(outputs)
    return sum(tf.reduce_mean(x**2, range(1, x.shape.rank)) for x in outputs)


_value = CallableValue(_mean_square)


def _pooled():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(7, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _flattened():
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.Dense(5, activation="tanh", name="hidden")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _strided():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="reader")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _skipped():
    """A skip connection passes the layer that reads the units."""
    inputs = keras.Input((6, 6, 2))
    stem = layers.Conv2D(5, 3, activation="relu", name="stem")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(stem)
    x = layers.Conv2D(5, 3, padding="same", name="reader")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, stem])))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _concatenated():
    """The layer reads channels of the group, of another group, and fixed ones."""
    inputs = keras.Input((6, 6, 2))
    a = layers.Conv2D(5, 3, padding="same", activation="relu", name="other")(inputs)
    b = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Concatenate()([a, inputs, b])
    x = layers.Conv2D(8, 3, name="reader")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _separable():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(5, 3, activation="relu", name="conv")(inputs)
    x = layers.SeparableConv2D(9, 3, depth_multiplier=2, name="reader")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


BY_HAND = (_pooled, _flattened, _strided, _skipped, _concatenated, _separable)


def _open(model, layer=None, keep=None, replaced=False):
    """Yields each group's suffix, its incremental walk, and what enters it."""
    channel_map = trace_channels(model)
    inputs = models.inputs_of(model, NUM_EXAMPLES)
    flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    for group in channel_map.select_groups(layer):
        left = np.ones(channel_map.num_units, bool) if keep is None else keep.copy()
        left[group.units] = True
        find_masks = functools.partial(masks_at, channel_map, left)
        network = ForwardPass(channel_map.graph, [flat], find_masks)
        shifts = mean_shifts(network, channel_map, group) if replaced else None
        suffix = Suffix(channel_map, group, keep, shifts)
        network.advance(suffix.start)
        cut = suffix.cut_values(network.values(0), network.find_masks)
        yield suffix, plan_incremental(suffix), cut


def _walk(suffix, walk, cut, ranks, fold):
    fold, batch = tf.constant(fold), tf.constant(NUM_EXAMPLES)
    data = cut, (), (), ()
    values_of = CoalitionValues(suffix, _value, data, batch, fold, walk)
    return values_of.walk(tf.constant(ranks)).numpy()


def _assert_equal_walks(suffix, walk, cut, out=(), window=1.0, folds=(1, 3)):
    active = np.ones(suffix.num_units, bool)
    active[list(out)] = False
    generator = np.random.default_rng(0)
    ranks = draw_ranks(generator, NUM_EXAMPLES, active, window)
    expected = _walk(suffix, None, cut, ranks, 2)
    steps = max(round(window * active.sum()), 1)
    assert expected.shape == (steps + 1, NUM_EXAMPLES)
    assert np.ptp(expected, axis=0).max() > 0
    for fold in folds:
        found = _walk(suffix, walk, cut, ranks, fold)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


# Hidden units are read inside of their own layer too, where nothing is subtracted.
WITHOUT_STATE = [
    builder for builder in models.BUILDERS if builder is not models.recurrent
]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", WITHOUT_STATE)
def test_equal_values_on_the_models_of_the_other_tests(builder):
    found = 0
    for suffix, walk, cut in _open(models.build(builder)):
        if walk is not None:
            _assert_equal_walks(suffix, walk, cut, folds=(4,))
            found += 1
    assert found


@pytest.mark.sweep(2)
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("builder", BY_HAND)
def test_equal_values(builder, replaced):
    ((suffix, walk, cut),) = _open(models.build(builder), "conv", replaced=replaced)
    assert walk is not None
    assert (suffix.shift_of(walk.call) is not None) == replaced
    _assert_equal_walks(suffix, walk, cut, folds=(3, 50))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize(
    ("builder", "name"), [(models.residual, "stem"), (models.branches, "a")]
)
def test_equal_values_where_several_layers_read_the_units(builder, name, replaced):
    ((suffix, walk, cut),) = _open(models.build(builder), name, replaced=replaced)
    assert len(suffix.masker.sites) > 1
    others = [c for c in suffix.calls if c is not walk.call]
    assert any(suffix.shift_of(call) is not None for call in others) == replaced
    _assert_equal_walks(suffix, walk, cut, folds=(3, 50))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("builder", [_pooled, _flattened, _strided])
def test_equal_values_in_windows_and_with_units_out_of_play(builder, replaced):
    ((suffix, walk, cut),) = _open(models.build(builder), "conv", replaced=replaced)
    last = suffix.num_units - 1
    _assert_equal_walks(suffix, walk, cut, window=0.5, folds=(3,))
    _assert_equal_walks(suffix, walk, cut, out=[0, last], folds=(3,))
    _assert_equal_walks(suffix, walk, cut, out=[1], window=0.4, folds=(3,))
    _assert_equal_walks(suffix, walk, cut, out=range(1, last + 1), folds=(3,))


def test_equal_values_where_other_units_have_been_removed():
    model = models.build(_concatenated)
    keep = np.ones(trace_channels(model).num_units, bool)
    (other,) = trace_channels(model).select_groups("other")
    keep[other.units[[0, 3]]] = False
    ((suffix, walk, cut),) = _open(model, "conv", keep)
    _assert_equal_walks(suffix, walk, cut)
    ((whole, _, _),) = _open(model, "conv")
    ranks = draw_ranks(np.random.default_rng(0), NUM_EXAMPLES, np.ones(4, bool))
    with_others = _walk(whole, None, cut, ranks, 2)
    assert np.abs(_walk(suffix, walk, cut, ranks, 2) - with_others).max() > 1e-3


def test_equal_values_in_a_compiled_game():
    ((suffix, walk, cut),) = _open(models.build(_strided), "conv")
    ranks = draw_ranks(np.random.default_rng(0), NUM_EXAMPLES, np.ones(6, bool))
    data = cut, (), (), ()
    found = [
        OutputGame(suffix, _value, Permutation(), 7, used).estimate(ranks, data)
        for used in (walk, None)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-4 * np.abs(found[1]).max())


# --- where it pays -----------------------------------------------------------------


def _plans(builder):
    return {s.group.name: walk for s, walk, _ in _open(models.build(builder))}


def test_where_the_last_layer_reads_the_units_walks_are_free():
    assert _plans(_pooled)["conv"].num_free > 8
    assert _plans(_flattened)["hidden"].num_free > 8
    assert _plans(_flattened)["conv"].num_free == 1
    assert _plans(_strided)["conv"].num_free == 1


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("builder", "name", "reader"),
    [
        (models.residual, "stem", "inner1"),
        (models.branches, "a", "mixed"),
        (models.branches, "mixed", "squeeze"),
    ],
)
def test_of_several_layers_one_that_no_other_stands_before(builder, name, reader):
    assert _plans(builder)[name].call.name == reader


def test_not_where_units_act_inside_of_a_layer():
    plans = _plans(models.recurrent)
    assert plans["lstm"] is None
    assert plans["gru"] is None


@pytest.mark.parametrize(
    ("size", "filters", "kernel_size", "chosen"),
    [(2, 128, 3, True), (16, 16, 3, True), (16, 4, 3, False), (16, 16, 1, False)],
)
def test_where_it_pays(monkeypatch, size, filters, kernel_size, chosen):
    monkeypatch.setattr(incremental, "_WORTHWHILE", 1)
    inputs = keras.Input((size, size, 2))
    x = layers.Conv2D(filters, 1, activation="relu", name="conv")(inputs)
    x = layers.Conv2D(24, kernel_size, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, padding="same", name="last")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    plans = {s.group.name: walk for s, walk, _ in _open(model)}
    assert (plans["conv"] is not None) == chosen


def test_not_where_a_size_is_not_known():
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 3)(x))
    channel_map = trace_channels(model)
    assert plan_incremental(Suffix(channel_map, channel_map.groups[0])) is None


# --- through the ranker ------------------------------------------------------------


def _rank(model, data, estimator="permutation", **arguments):
    game = Loss("sparse_categorical_crossentropy")
    ranker = ShapleyRanker(game, estimator, batch_size=8, **arguments)
    return ranker.rank(model, data, layers="conv", verbose=0)["conv"]


def _sharp_classifier():
    model = models.classifier()
    models.randomize(model)
    inputs = model.inputs[0]
    x = model.get_layer("pool")(model.get_layer("conv")(inputs))
    x = layers.Dense(4, activation="softmax", name="last")(x)
    model = keras.Model(inputs, x)
    last = model.get_layer("last")
    kernel = np.random.default_rng(0).normal(size=last.kernel.shape) * 4
    last.set_weights([kernel, np.zeros(4)])
    return model


@pytest.mark.slow
def test_free_walks_make_the_values_more_exact(monkeypatch):
    model, data = _sharp_classifier(), models.labelled_images(24)
    exact = _rank(model, data, "exact").values
    free = [_rank(model, data, seed=seed) for seed in range(2)]
    monkeypatch.setattr(sampler, "plan_incremental", lambda suffix: None)
    single = [_rank(model, data, seed=seed) for seed in range(2)]

    def error(rankings):
        return np.sqrt(np.mean([(s.values - exact) ** 2 for s in rankings]))

    assert error(free) < error(single) / 3
    assert free[0].num_evaluations == single[0].num_evaluations
    total = exact.sum()
    for scores in (*free, *single):
        assert scores.values.sum() == pytest.approx(total, rel=1e-4)


def test_standard_errors_of_free_walks_are_those_over_examples():
    model, data = _sharp_classifier(), models.labelled_images(24)
    exact, free = _rank(model, data, "exact"), _rank(model, data)
    # Nearly nothing but the spread of the examples is left.
    np.testing.assert_allclose(
        free.standard_errors, exact.standard_errors, rtol=0.3, atol=1e-6
    )
