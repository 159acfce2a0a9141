"""Tests of the ranking by reconstruction games."""

import games
import keras
import models
import numpy as np
import pytest
import scipy.stats
from keras import layers

from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.rank.estimators import ClosedFormPermutation
from keras_shapley_prune.rank.games import Reconstruction
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.repair import readers
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.trace.tracer import trace_channels

NUM_UNITS = 5


@keras.saving.register_keras_serializable(package="reconstruction_source_test")
class Mixing(layers.Dense):
    """A layer that reads all channels and of which nothing else is known."""


def _ranker(num_draws=4, candidates=None, horizon=1.0, stages=1, decay=0.0, **rest):
    game = Reconstruction(candidates, horizon)
    walks = ClosedFormPermutation(num_draws, decay)
    return ShapleyRanker(game, walks, stages=stages, **rest)


def _rank(model, x, layers=None, ratio=0.5, **arguments):
    ranker = _ranker(**arguments)
    return ranker.rank(model, x, layers=layers, ratio=ratio, verbose=0)


def _hidden(*readers, num_examples=60):
    """Input -> five units -> the readers, side by side."""
    inputs = keras.Input((6,))
    hidden = layers.Dense(NUM_UNITS, activation="tanh", name="units")(inputs)
    outputs = [reader(hidden) for reader in readers]
    model = models.randomize(keras.Model(inputs, outputs))
    generator = np.random.default_rng(1)
    return model, generator.normal(size=(num_examples, 6)).astype("float32")


def _activations(model, x, name="units"):
    found = keras.Model(model.inputs, model.get_layer(name).output)(x)
    return found.numpy().astype("float64")


def _cost(read, wanted, prior, removed):
    """Returns what the fit loses without some columns, by solving for the rest."""
    read, wanted = read - read.mean(axis=0), wanted - wanted.mean(axis=0)
    xx, xy = read.T @ read / len(read), read.T @ wanted / len(read)
    strength = RIDGE * np.trace(xx) / len(xx)

    def objective(stays):
        fit = np.zeros(prior.shape)
        regular = xx[np.ix_(stays, stays)] + strength * np.eye(stays.sum())
        fit[stays] = np.linalg.solve(regular, xy[stays] + strength * prior[stays])
        error = ((wanted - read @ fit) ** 2).mean(axis=0).sum()
        return error + strength * ((fit - prior) ** 2).sum()

    lost = objective(~removed) - objective(np.ones(len(prior), bool))
    return lost / wanted.var(axis=0).sum()


def _exact(pairs, num_units=NUM_UNITS):
    """Returns the exact values, `pairs` being `(read, wanted, prior)` a reader."""
    return games.exact_values(
        lambda coalition: -sum(_cost(*pair, ~coalition) for pair in pairs), num_units
    )


def _pair(model, x, reader):
    read = _activations(model, x)
    kernel = model.get_layer(reader).kernel.numpy().astype("float64")
    return read, read @ kernel, kernel


def _assert_close(scores, exact):
    distance = np.abs(scores.values - exact)
    assert np.all(distance <= 4 * scores.standard_errors + 1e-5)
    assert np.all(distance <= 0.1 * np.abs(exact).max())
    assert scores.values.sum() == pytest.approx(exact.sum(), rel=1e-4)


def test_values_converge_to_the_exact_ones():
    model, x = _hidden(layers.Dense(3, name="reader"))
    exact = _exact([_pair(model, x, "reader")])
    scores = _rank(model, x, num_draws=60)["units"]
    _assert_close(scores, exact)
    assert scores.num_evaluations == 2 * 60 * NUM_UNITS
    assert np.ptp(exact) > 0.1 * exact.max()


def test_labels_are_not_read():
    model, x = _hidden(layers.Dense(3, name="reader"))
    alone = _rank(model, x)["units"]
    labelled = _rank(model, (x, np.full(len(x), np.nan)))["units"]
    np.testing.assert_array_equal(alone.values, labelled.values)
    batched = _rank(model, [x[:7], x[7:40], x[40:]])["units"]
    np.testing.assert_allclose(batched.values, alone.values, rtol=1e-3)


def test_the_costs_of_several_readers_add_up():
    readers = layers.Dense(3, name="first"), layers.Dense(2, name="second")
    model, x = _hidden(*readers)
    model.get_layer("second").kernel.assign(10 * model.get_layer("second").kernel)
    exact = _exact([_pair(model, x, name) for name in ("first", "second")])
    _assert_close(_rank(model, x, num_draws=60)["units"], exact)


@pytest.mark.filterwarnings("ignore:Mixing is registered without")
def test_a_layer_without_a_linear_form_should_read_what_it_did(monkeypatch):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    register_layer(Mixing, "mix", "units", {"kernel": "io", "bias": "o"})
    model, x = _hidden(Mixing(3, name="reader"))
    assert find_linear_form(model.get_layer("reader")) is None
    read = _activations(model, x)
    exact = _exact([(read, read, np.eye(NUM_UNITS))])
    _assert_close(_rank(model, x, num_draws=60)["units"], exact)


def test_units_that_nothing_reads_come_first():
    model, x = _hidden(layers.Dense(3, name="reader"))
    units, reader = model.get_layer("units"), model.get_layer("reader")
    kernel, bias = units.get_weights()
    kernel[:, 2] = 0
    units.set_weights([kernel, bias])
    weights = reader.kernel.numpy()
    weights[2] = 0
    reader.kernel.assign(weights)
    scores = _rank(model, x)["units"]
    assert scores.values[2] == pytest.approx(0, abs=1e-9)
    assert scores.order[0] == 2
    assert np.delete(scores.values, 2).min() > 0.01


def test_seeds():
    model, x = _hidden(layers.Dense(3, name="reader"))
    one, again, other = (_rank(model, x, seed=seed)["units"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.values, again.values)
    assert (one.values != other.values).any()


# --- layers of many columns --------------------------------------------------------


def _uneven(reader):
    """Eight filters, from weak to strong, in an order of no account."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, activation="relu", name="units")(inputs)
    model = models.randomize(keras.Model(inputs, reader(x)))
    strength = np.random.default_rng(2).permutation(np.geomspace(0.2, 5, 8))
    units = model.get_layer("units")
    units.set_weights([array * strength for array in units.get_weights()])
    return model, models.images(model, 40)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(6, 3, name="reader"),
        lambda: layers.Conv2DTranspose(6, 3, name="reader"),
        lambda: layers.SeparableConv2D(6, 3, name="reader"),
    ],
    ids=["convolution", "transposed", "separable"],
)
def test_taps_need_not_be_told_apart(monkeypatch, make):
    model, x = _uneven(make())
    full = _rank(model, x, num_draws=20)["units"].values
    monkeypatch.setattr(readers, "MAX_COLUMNS", 7)
    short = _rank(model, x, num_draws=20)["units"].values
    assert (short != full).any()
    assert scipy.stats.spearmanr(full, short).statistic > 0.85


def test_each_tap_belongs_to_its_channel(monkeypatch):
    monkeypatch.setattr(readers, "MAX_COLUMNS", 7)
    reader = layers.SeparableConv2D(6, 3, depth_multiplier=2, name="reader")
    model, x = _uneven(reader)
    kernel = np.zeros(reader.pointwise_kernel.shape, "float32")
    kernel[0, 0, 4:6] = 1  # what the depthwise kernel makes of unit 2
    reader.pointwise_kernel.assign(kernel)
    assert _rank(model, x)["units"].order[-1] == 2


def test_without_taps_the_limit_changes_nothing(monkeypatch):
    model, x = _hidden(layers.Dense(3, name="reader"))
    full = _rank(model, x)["units"].values
    monkeypatch.setattr(readers, "MAX_COLUMNS", 2)
    np.testing.assert_allclose(_rank(model, x)["units"].values, full, rtol=1e-3)


# --- one group after the other -----------------------------------------------------


def _chain():
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    x = layers.Dense(NUM_UNITS, activation="tanh", name="units")(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(3, name="reader")(x)))
    generator = np.random.default_rng(1)
    return model, generator.normal(size=(80, 6)).astype("float32")


def _assert_same(scores, expected):
    """One runs the network in one piece, the other from layer to layer: rounding."""
    np.testing.assert_allclose(scores.values, expected.values, rtol=1e-5)


def test_later_groups_are_ranked_on_what_is_left_of_earlier_ones():
    model, x = _chain()
    weights = [array.copy() for array in model.get_weights()]
    alone = _rank(model, x, num_draws=60)
    ranking = _rank(model, x, num_draws=60, sequential=True)
    _assert_same(ranking["first"], alone["first"])
    assert np.abs(ranking["units"].values - alone["units"].values).max() > 0.01
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    channel_map = trace_channels(model)
    (first,) = channel_map.select_groups("first")
    network = Repairer(copy_whole(model, channel_map), [[x]])
    network.remove(first.units[ranking["first"].order[:4]])
    network.advance(2)
    _, wanted, prior = _pair(model, x, "reader")
    exact = _exact([(_activations(network.model, x), wanted, prior)])
    _assert_close(ranking["units"], exact)


def test_nothing_is_removed_at_a_ratio_of_zero():
    model, x = _chain()
    alone = _rank(model, x, ratio=0.0)
    ranking = _rank(model, x, ratio=0.0, sequential=True)
    for name, scores in ranking.items():
        _assert_same(scores, alone[name])


def test_units_removed_before_do_not_help_out_in_the_same_layer():
    inputs = keras.Input((3,))
    a = layers.Dense(2, use_bias=False, name="a")(inputs)
    b = layers.Dense(2, use_bias=False, name="b")(inputs)
    outputs = layers.Dense(3, name="reader")(layers.Concatenate()([a, b]))
    model = keras.Model(inputs, outputs)
    # The units a[0] and b[0] are the same.
    model.get_layer("a").set_weights([np.array([[1.0, 0], [0, 0], [0, 1]])])
    model.get_layer("b").set_weights([np.array([[1.0, 0], [0, 1], [0, 0]])])
    kernel = np.array([[1, 0, 0], [0, 0, 2], [1, 0, 0], [0, 0.5, 0]])
    model.get_layer("reader").set_weights([kernel, np.zeros(3)])
    x = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
    alone = _rank(model, x)
    np.testing.assert_array_equal(alone["a"].order, [0, 1])
    np.testing.assert_array_equal(alone["b"].order, [0, 1])
    ranking = _rank(model, x, sequential=True)
    np.testing.assert_array_equal(ranking["a"].order, [0, 1])
    np.testing.assert_array_equal(ranking["b"].order, [1, 0])


# --- stages and candidates ---------------------------------------------------------


def _duplicated(num_examples=200):
    """Units 0 and 1 are the same, and together worth 1; the others 0.6 and 0.7."""
    inputs = keras.Input((3,))
    x = layers.Dense(4, use_bias=False, name="units")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="reader")(x))
    kernel = np.zeros((3, 4))
    kernel[0, :2], kernel[1, 2], kernel[2, 3] = 1, 1, 1
    model.get_layer("units").set_weights([kernel])
    kernel = np.zeros((4, 3))
    kernel[:2, 0], kernel[2, 1], kernel[3, 2] = 0.5, 0.6**0.5, 0.7**0.5
    model.get_layer("reader").set_weights([kernel, np.zeros(3)])
    x = np.random.default_rng(0).normal(size=(num_examples, 3))
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return model, x.astype("float32")


def test_one_stage_drops_both_of_two_equal_filters():
    model, x = _duplicated()
    scores = _rank(model, x, num_draws=20)["units"]
    assert set(scores.order[:2]) == {0, 1}
    expected = np.array([0.5, 0.5, 0.6, 0.7]) / 2.3
    np.testing.assert_allclose(scores.values, expected, rtol=0.1)


@pytest.mark.parametrize(
    "arguments", [{"candidates": 1.25}, {"candidates": 9}, {"decay": 0.3}]
)
@pytest.mark.parametrize("stages", [4, "units"])
def test_staged_play_keeps_one_of_two_equal_filters(stages, arguments):
    model, x = _duplicated()
    scores = _rank(model, x, stages=stages, **arguments)["units"]
    stays = set(scores.order[2:])
    assert len(stays & {0, 1}) == 1
    assert 3 in stays
    assert len(set(scores.stages[[0, 1]])) == 2


def test_walks_remove_the_cheapest_candidates_only():
    model, x = _duplicated()
    scores = _rank(model, x, candidates=1, ratio=0.5)["units"]
    # Of the twins, each is cheap alone; 0.6 comes next.
    np.testing.assert_array_equal(np.isinf(scores.standard_errors), [0, 0, 0, 1])
    assert scores.values[3] == pytest.approx(0.7 / 2.3, rel=0.05)
    assert scores.num_evaluations == 2 * 4 * 3
    np.testing.assert_array_equal(scores.stages, [0, 0, 0, 1])
    assert scores.order[3] == 3


def test_units_that_were_no_candidates_have_values():
    model, x = _duplicated()
    ranking = _rank(model, x, stages="units", candidates=1.25)
    scores = ranking["units"]
    assert np.isinf(scores.standard_errors).any()
    assert np.isfinite(scores.values).all()
    assert "nan" not in str(ranking)


def test_a_horizon_bounds_the_candidates():
    model, x = _duplicated()
    near = _rank(model, x, stages="units", candidates=1, horizon=0.25, ratio=0.75)
    far = _rank(model, x, stages="units", candidates=1, ratio=0.75)
    # Of 4, 3, 2 units the 2 cheapest are walked at each stage, as for ratio=0.25.
    assert near["units"].num_evaluations == 3 * 4 * 2 * 2
    assert far["units"].num_evaluations > near["units"].num_evaluations
    ranker = _ranker(stages="units", candidates=1, horizon=0.25)
    assert ranker.estimate_cost(model, x, ratio=0.75).evaluations == 3 * 4 * 2 * 2


@pytest.mark.parametrize("stages", [1, 3])
def test_costs_of_leaving_are_those_of_fits_without_all_that_left(stages):
    model, x = _hidden(layers.Dense(4, name="reader"))
    scores = _rank(model, x, "units", stages=stages, num_draws=2)["units"]
    read = _activations(model, x)
    prior = model.get_layer("reader").kernel.numpy().astype("float64")
    wanted = read @ prior
    for count in range(1, NUM_UNITS + 1):
        gone = np.isin(np.arange(NUM_UNITS), scores.order[:count])
        if gone.all():
            break  # nothing is left to be fitted
        expected = _cost(read, wanted, prior, gone)
        found = scores.removal_costs[scores.order[:count]].sum()
        assert found == pytest.approx(expected, rel=1e-4)


def test_values_are_finite_where_what_is_read_does_not_vary():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, name="units")(keras.ops.zeros_like(inputs) + 1.0)
    model = keras.Model(inputs, keras.layers.Dense(64)(x))
    weights = 30 * np.random.default_rng(0).normal(size=(5, 64))
    model.layers[-1].set_weights([weights, np.zeros(64)])
    data = np.random.default_rng(1).normal(size=(20, 4)).astype("float32")
    scores = ShapleyRanker().rank(model, data, ratio=0.5, verbose=0)["units"]
    assert np.isfinite(scores.values).all()
