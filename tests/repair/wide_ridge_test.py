import functools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.repair import augmented_copies, fits, wide_ridge
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.ridge import RIDGE, RIDGES, choose_ridge, solve_towards
from keras_shapley_prune.repair.wide_ridge import Regression, fit_wide
from keras_shapley_prune.trace.tracer import trace_channels

ALL = (False, True)


class Arrays:
    """What `LayerData` is to a fit, from arrays: two batches."""

    call = None  # of no layer

    def __init__(self, count=50, positions=3, columns=12, outputs=5, noise=0.3, seed=0):
        generator = np.random.default_rng(seed)
        self.num_columns = columns
        x = generator.normal(size=(count, positions, columns))
        self.x = (x @ generator.normal(size=(columns, columns)) + 3).astype("float32")
        self.weights = generator.normal(size=(columns, outputs))
        noise = noise * generator.normal(size=(count, positions, outputs))
        self.y = (self.x @ self.weights + noise + 0.7).astype("float32")
        self.prior = self.weights + generator.normal(size=self.weights.shape)
        self.held_out = np.arange(count) % 5 == 0

    def pairs(self):
        for part in (slice(0, 20), slice(20, None)):
            x, y = tf.constant(self.x[part]), tf.constant(self.y[part])
            yield x, y, None, self.held_out[part]

    def rows(self):
        for x, _, _, held_out in self.pairs():
            yield x, held_out

    def gram(self, chosen=slice(None)):
        gram = Gram(self.x.shape[-1], self.y.shape[-1])
        gram.add(tf.constant(self.x[chosen]), tf.constant(self.y[chosen]))
        return gram


def solve_whole(data, centred, ridge=RIDGE):
    """Returns weights and bias of the fit from all second moments."""
    mean_x, mean_y, xx, xy, _ = data.gram().covariances(centred)
    weights = solve_towards(xx, xy, data.prior, ridge)
    return weights, mean_y - mean_x @ weights


@pytest.mark.sweep(4)
@pytest.mark.parametrize("num_outputs", [2, 512])
@pytest.mark.parametrize("ridge", [1e-4, RIDGE, 1.0])
@pytest.mark.parametrize("centred", [True, False])
def test_the_fit_is_that_of_all_moments(monkeypatch, centred, ridge, num_outputs):
    monkeypatch.setattr(wide_ridge, "NUM_OUTPUTS", num_outputs)
    data = Arrays()
    found, bias = fit_wide(data, data.prior, centred, ridge, tolerance=1e-10)
    expected, expected_bias = solve_whole(data, centred, ridge)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(bias, expected_bias, atol=1e-2)
    gram = data.gram()
    whole = gram.squared_error(expected, expected_bias)
    assert gram.squared_error(found, bias) < whole * (1 + 1e-4)


def test_the_objective_falls_with_every_step(monkeypatch):
    data = Arrays(columns=30, noise=1.0)
    _, _, xx, xy, yy = data.gram().covariances()
    strength = 1e-3 * np.trace(xx) / len(xx)
    objectives = []
    for steps in range(15):
        monkeypatch.setattr(wide_ridge, "MAX_STEPS", steps)
        weights, _ = fit_wide(data, data.prior, ridge=1e-3, tolerance=0)
        error = yy.sum() + np.sum(weights * (xx @ weights - 2 * xy))
        objectives.append(error + strength * np.sum((weights - data.prior) ** 2))
    assert (np.diff(objectives) < 0).all()


def test_a_fit_stops_where_little_is_gained(monkeypatch):
    data = Arrays(columns=30)
    passes = []
    rows = Arrays.rows
    monkeypatch.setattr(Arrays, "rows", lambda self: (passes.append(1), rows(self))[1])
    counts = []
    for tolerance in (1e-1, 1e-3, 1e-8):
        passes.clear()
        fit_wide(data, data.prior, ridge=1e-2, tolerance=tolerance)
        counts.append(len(passes))
    assert 2 <= counts[0] < counts[1] < counts[2] <= wide_ridge.MAX_STEPS + 1


@pytest.mark.sweep(1)
@pytest.mark.parametrize("noise", [0.0, 3.0, 30.0])
def test_the_ridge_is_the_one_that_all_moments_choose(monkeypatch, noise):
    data = Arrays(columns=24, noise=noise)
    rest, held_out = data.gram(~data.held_out), data.gram(data.held_out)
    expected = choose_ridge(rest, held_out, data.prior)
    chosen = []
    solve = Regression.solve
    monkeypatch.setattr(
        Regression,
        "solve",
        lambda self, prior, outputs, ridge, tolerance: (
            chosen.append(ridge),
            solve(self, prior, outputs, ridge, tolerance),
        )[1],
    )
    fit_wide(data, data.prior, tolerance=1e-9)
    assert len(chosen[0]) == len(RIDGES) * data.prior.shape[1]
    assert chosen[1] == expected


def test_without_held_out_examples_the_ridge_is_the_usual_one():
    data = Arrays()
    data.held_out[:] = False
    found, _ = fit_wide(data, data.prior, tolerance=1e-10)
    expected, _ = fit_wide(data, data.prior, ridge=RIDGE, tolerance=1e-10)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [0.0, 0.1, 7.3])
def test_constant_rows_leave_the_weights_at_the_prior(value):
    data = Arrays()
    data.x[:] = value
    found, bias = fit_wide(data, data.prior, ridge=RIDGE)
    np.testing.assert_array_equal(found, data.prior)
    expected = data.y.mean(axis=(0, 1)) - value * data.prior.sum(axis=0)
    np.testing.assert_allclose(bias, expected, atol=1e-4)


@pytest.mark.parametrize("centred", [True, False])
def test_a_constant_column_keeps_its_prior(centred):
    data = Arrays()
    data.x[..., 3] = 0.0
    found, _ = fit_wide(data, data.prior, centred, RIDGE)
    np.testing.assert_array_equal(found[3], data.prior[3])
    assert (found[4] != data.prior[4]).all()


def test_what_does_not_vary_does_not_drown_what_does():
    data = Arrays()
    data.x += 300.0
    found, _ = fit_wide(data, data.prior, ridge=1e-3, tolerance=1e-10)
    expected, _ = solve_whole(data, True, 1e-3)
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_more_columns_than_rows_are_fitted():
    data = Arrays(count=10, positions=1, columns=60, noise=0.0)
    found, bias = fit_wide(data, data.prior, ridge=1e-6, tolerance=1e-8)
    error = data.x[:, 0] @ found + bias - data.y[:, 0]
    assert np.mean(error**2) < 1e-4 * np.var(data.y)


READERS = {
    "conv": lambda x, **bias: layers.Conv2D(4, 3, name="last", **bias)(x),
    "same": lambda x, **bias: layers.Conv2D(
        4, 3, strides=2, padding="same", name="last", **bias
    )(x),
    "dense": lambda x, **bias: layers.Dense(4, name="last", **bias)(
        layers.Flatten()(layers.MaxPooling2D(2)(x))
    ),
    "transposed": lambda x, **bias: layers.Conv2DTranspose(
        4, 3, strides=2, name="last", **bias
    )(x),
    "separable": lambda x, **bias: layers.SeparableConv2D(4, 3, name="last", **bias)(x),
    "normalized": lambda x, **bias: layers.BatchNormalization(name="norm")(
        layers.Conv2D(4, 3, name="last", **bias)(x)
    ),
    "shared": lambda x, **bias: shared_twice(layers.Conv2D(3, 1)(x), **bias),
}


def shared_twice(x, **bias):
    shared = layers.Conv2D(3, 3, padding="same", name="last", **bias)
    return shared(layers.ReLU()(shared(x)))


def repair_both(monkeypatch, reader, use_bias, ridge):
    """Returns the repaired copies: from all moments, and without."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    model = keras.Model(inputs, READERS[reader](x, use_bias=use_bias))
    models.randomize(model, 0)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[[1, 4]]] = False
    batches = [[tf.constant(models.images(model, 20))]]
    found = []
    exact = functools.partial(fit_wide, tolerance=1e-7)
    monkeypatch.setattr(augmented_copies, "MAX_COPIES", 0)
    for limit in (fits.MAX_COLUMNS, 0):
        monkeypatch.setattr(fits, "MAX_COLUMNS", limit)
        monkeypatch.setattr(fits, "fit_wide", exact)
        walk = Repairer(cut_out(model, keep, channel_map), batches, ridge=ridge)
        walk.advance(len(channel_map.graph.calls))
        found.append(walk.model)
    return found


@pytest.mark.sweep(2)
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("reader", READERS)
def test_every_layer_gets_the_weights_of_the_whole_fit(monkeypatch, reader, use_bias):
    whole, found = repair_both(monkeypatch, reader, use_bias, ridge=0.03)
    for ours, theirs in zip(found.weights, whole.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3, err_msg=ours.path)


def test_the_ridge_of_a_layer_is_chosen_alike(monkeypatch):
    whole, found = repair_both(monkeypatch, "conv", True, ridge=None)
    for ours, theirs in zip(found.weights, whole.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3, err_msg=ours.path)


def test_no_more_rows_are_made_than_are_allowed(monkeypatch):
    seen = []
    rows = fits.LayerData.rows
    monkeypatch.setattr(
        fits.LayerData,
        "rows",
        lambda self: (seen.append(pair[0].shape) or pair for pair in rows(self)),
    )
    monkeypatch.setattr(fits, "MAX_BYTES", 3 * 16 * 36 * 4)  # three examples
    monkeypatch.setattr(fits, "Gram", None)
    monkeypatch.setattr(fits, "MAX_COLUMNS", 0)
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="last")(x))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[:2]] = False
    batches = [[tf.constant(models.images(model, 16))]]
    walk = Repairer(cut_out(model, keep, channel_map), batches, ridge=RIDGE)
    walk.advance(len(channel_map.graph.calls))
    assert {tuple(shape) for shape in seen} == {(3, 16, 36), (1, 16, 36)}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error(monkeypatch, value, use_bias):
    monkeypatch.setattr(fits, "MAX_COLUMNS", 0)
    inputs = keras.Input((5,))
    x = layers.Dense(6, name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(3, use_bias=use_bias, name="last")(x))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[:2]] = False
    # Weights and data are finite, or they were refused before: sums of them overflow.
    weights = np.full((5, 6), 3e38)
    if np.isnan(value):
        weights[1::2] *= -1
    model.get_layer("first").kernel.assign(weights)
    images = np.full((10, 5), 10, "float32")
    walk = Repairer(cut_out(model, keep, channel_map), [[tf.constant(images)]])
    with pytest.raises(ValueError, match=r"finite values .* 'last' reads"):
        walk.advance(len(channel_map.graph.calls))
