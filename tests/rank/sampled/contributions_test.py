"""Tests of what units contribute to the layers that read them, and of the controls."""

import functools
import itertools
import math

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.rank.estimators import Gradient, Permutation
from keras_shapley_prune.rank.estimators.walks import OUT
from keras_shapley_prune.rank.games import Custom
from keras_shapley_prune.rank.sampled.contributions import Contributions
from keras_shapley_prune.rank.sampled.incremental import find_readers
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stopping import StopWhen
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels


def _convolutions():
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="units")(inputs)
    x = layers.Conv2D(3, 2, name="reader")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    models.randomize(model)
    return model


def test_contributions_are_what_the_reader_loses():
    model = _convolutions()
    x = np.random.default_rng(0).normal(size=(6, 5, 5, 2)).astype("float32")
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("units")
    suffix = Suffix(channel_map, group)
    network = ForwardPass(channel_map.graph, [[keras.ops.array(x)]])
    network.advance(suffix.start)
    found = Contributions(suffix, list(find_readers(suffix)))
    read = model.get_layer("units")(x)
    reader = model.get_layer("reader")
    scale = np.linalg.norm(reader.kernel)
    removed = np.array([1, 0, 1, 0])
    lost = reader(read) - reader(read * (1 - removed))
    own = list(found.of(suffix.cut_values(network.values(0))))
    assert len(own) == 6
    for example, contributions in enumerate(own):
        together = removed @ contributions * scale
        np.testing.assert_allclose(together, np.ravel(lost[example]), atol=1e-5)


def test_wide_layers_are_compared_at_fewer_places():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(600, 1, name="units")(inputs)
    x = layers.Conv2D(700, 1, name="reader")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("units")
    suffix = Suffix(channel_map, group)
    network = ForwardPass(channel_map.graph, [[keras.ops.ones((2, 6, 6, 2))]])
    network.advance(suffix.start)
    found = Contributions(suffix, list(find_readers(suffix)))
    for contributions in found.of(suffix.cut_values(network.values(0))):
        assert contributions.shape == (600, 700)  # one place: 2**19 numbers are enough


@pytest.mark.parametrize("window", [1.0, 0.75, 0.5])
def test_controls_of_walks_have_a_mean_of_zero(window):
    contributions = np.random.default_rng(1).normal(size=(5, 7))
    estimator, num_active = Permutation(window=window), 4
    length = max(round(window * num_active), 1)
    total, count = np.zeros(5), np.zeros(5)
    for order in itertools.permutations(range(4)):
        ranks = np.array([rank if rank < length else 5 for rank in order])
        ranks = np.insert(ranks, 2, OUT)  # a unit that is not in play
        total += estimator.control(contributions, ranks)
        count += (ranks != OUT) & (ranks < 5)
    np.testing.assert_allclose(total, 0, atol=1e-9)
    assert count[2] == 0 and (count[[0, 1, 3, 4]] == 6 * length).all()


def test_controls_of_a_walk_are_those_of_the_squared_game():
    contributions = np.random.default_rng(2).normal(size=(4, 6))
    ranks = np.array([2, 0, 3, 1])
    found = Permutation().control(contributions, ranks)
    shapley = contributions @ contributions.sum(axis=0)
    removed, before = np.zeros(6), 0.0
    for unit in np.argsort(ranks):
        removed = removed + contributions[unit]
        lost = removed @ removed
        assert found[unit] == pytest.approx(lost - before - shapley[unit])
        before = lost
    assert found.sum() == pytest.approx(0)


def test_controls_of_gradients_have_a_mean_of_zero():
    contributions = np.random.default_rng(3).normal(size=(5, 7))
    total = np.zeros(5)
    for inside in itertools.product([0.0, 1.0], repeat=4):
        drawn = np.insert(np.array(inside), 2, OUT)
        # How likely a coalition of that size is under a uniform density.
        weight = 1 / (5 * math.comb(4, int(sum(inside))))
        total += weight * Gradient().control(contributions, drawn)
    np.testing.assert_allclose(total, 0, atol=1e-9)
    one = Permutation().control(contributions, np.array([OUT, OUT, 0, OUT, OUT]))
    assert not one.any()


@functools.cache
def _quadratic():
    """A model, its data, a game whose noise the closed form explains, exact values."""
    inputs = keras.Input((6,))
    x = layers.Dense(8, name="units")(inputs)
    x = layers.Dense(5, use_bias=False, name="reader")(x)
    outputs = layers.Activation("linear", name="end")(x)  # or walks would be free
    model = keras.Model(inputs, outputs)
    models.randomize(model)
    x = np.random.default_rng(4).normal(size=(40, 6)).astype("float32")
    y = np.asarray(model(x)) + 1e-3  # regression: no classes

    def lost(labels, outputs):
        return -keras.ops.sum((labels - outputs) ** 2, axis=-1)

    data, game = (x, y.astype("float32")), Custom(lost)
    exact = ShapleyRanker(game, "exact").rank(model, data, layers="units", verbose=0)
    return model, data, game, exact["units"].values


def _errors(estimator, **arguments):
    model, data, game, exact = _quadratic()
    ranker = ShapleyRanker(game, estimator, **arguments)
    found = ranker.rank(model, data, layers="units", verbose=0)["units"].values
    return np.linalg.norm(found - exact), found.sum()


@pytest.mark.eager
@pytest.mark.parametrize("kind", [Permutation, Gradient])
def test_a_quadratic_game_is_nearly_exact(kind):
    plain, whole = _errors(kind(control_variate=False))
    controlled, same = _errors(kind())
    assert controlled < 0.4 * plain
    if kind is Permutation:  # the values still add up
        assert same == pytest.approx(whole, rel=1e-4)


@pytest.mark.eager
def test_batches_do_not_matter_to_walks_that_are_matched():
    first, _ = _errors(Permutation(), batch_size=40)
    second, _ = _errors(Permutation(), batch_size=7)
    assert first == pytest.approx(second, rel=1e-3)


@pytest.mark.eager
def test_a_limit_leaves_walks_to_their_batches():
    never = StopWhen(evaluations=10**9)
    one, _ = _errors(Permutation(), stop=never)
    other, _ = _errors(Permutation(control_variate=False), stop=never)
    assert one == other


@pytest.mark.parametrize(
    "estimator", [Permutation(2), Permutation(window=0.5), Gradient(2, efficient=False)]
)
def test_a_unit_that_only_a_dead_unit_reads_has_a_value_of_0(estimator):
    model = _classifier_with_a_dead_unit()
    model.compile(loss="sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(48, 5, 5, 2)).astype("float32")
    ranker = ShapleyRanker("loss", estimator)
    scores = ranker.rank(model, (x, np.arange(48) % 3), layers=["units"])["units"]
    assert scores.values[0] == 0 and (scores.values[1:] != 0).all()


def _classifier_with_a_dead_unit():
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="units")(inputs)
    x = layers.Conv2D(3, 2, activation="relu", name="reader")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    models.randomize(model)
    kernel, bias = model.get_layer("reader").get_weights()
    kernel[:, :, 0, :2], bias[2] = 0, -1e3
    model.get_layer("reader").set_weights([kernel, bias])
    return model
