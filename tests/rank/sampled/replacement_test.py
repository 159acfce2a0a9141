"""Tests of mean replacement against real models with a shifted bias."""

import itertools

import games
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.rank.estimators import Permutation
from keras_shapley_prune.rank.games import Custom
from keras_shapley_prune.rank.sampled.replacement import mean_shifts
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

NUM_UNITS = 4


def _value(labels, outputs):
    return tf.reduce_sum(outputs**2, axis=-1)


def _finish(inputs, x):
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def _convolution(**arguments):
    """Units that one convolution reads, with or without a bias."""
    inputs = keras.Input((7, 7, 2))
    x = layers.Conv2D(NUM_UNITS, 3, activation="relu", name="units")(inputs)
    x = layers.Conv2D(5, 3, name="reader", **arguments)(x)
    return _finish(inputs, layers.ReLU()(x))


def _normalized(**arguments):
    """Units that a convolution without bias reads, and BatchNormalization then."""
    inputs = keras.Input((7, 7, 2))
    x = layers.Conv2D(NUM_UNITS, 3, activation="relu", name="units")(inputs)
    x = layers.Conv2D(5, 3, use_bias=False, name="reader", **arguments)(x)
    x = layers.BatchNormalization(name="norm", epsilon=0.1)(x)
    return _finish(inputs, layers.ReLU()(x))


def _dense():
    inputs = keras.Input((5,))
    x = layers.Dense(NUM_UNITS, activation="relu", name="units")(inputs)
    x = layers.Dense(6, activation="tanh", name="reader")(x)
    return _finish(inputs, x)


def _last():
    inputs = keras.Input((7, 7, 2))
    x = layers.Conv2D(NUM_UNITS, 3, activation="relu", name="units")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(6, name="reader")(x))


def _beside_others():
    """What is read are the units and, after them, channels that always stay."""
    inputs = keras.Input((7, 7, 2))
    x = layers.Conv2D(NUM_UNITS, 3, padding="same", name="units")(inputs)
    x = layers.Concatenate()([x, inputs])
    x = layers.Conv2D(5, 3, activation="relu", name="reader")(x)
    return _finish(inputs, x)


def _two_readers():
    """One can take a bias, the other cannot."""
    inputs = keras.Input((7, 7, 2))
    x = layers.Conv2D(NUM_UNITS, 3, activation="relu", name="units")(inputs)
    y = layers.Conv2D(5, 1, activation="elu", name="reader")(x)
    z = layers.Conv2D(5, 1, activation="relu", use_bias=False, name="plain")(x)
    return _finish(inputs, layers.Concatenate()([y, z]))


CASES = {
    "same": lambda: _convolution(padding="same"),
    "strides": lambda: _convolution(padding="same", strides=2),
    "activation": lambda: _convolution(activation="relu"),
    "normalized": _normalized,
    "normalized same": lambda: _normalized(padding="same", strides=2),
    "dense": _dense,
    "last": _last,
    "beside others": _beside_others,
    "two readers": _two_readers,
}


def _patches(x, kernel, strides, padding):
    """Returns the patches of a convolution, `(batch, positions, taps, channels)`."""
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    if padding == "same":
        margins = []
        for length in (height, width):
            total = max((-(-length // strides) - 1) * strides + size - length, 0)
            margins.append((total // 2, total - total // 2))
        x = np.pad(x, [(0, 0), *margins, (0, 0)])
    height, width = x.shape[1:3]
    return np.stack(
        [
            x[:, i : i + size, j : j + size].reshape(len(x), size**2, -1)
            for i in range(0, height - size + 1, strides)
            for j in range(0, width - size + 1, strides)
        ],
        axis=1,
    )


def _mean_contributions(model, x):
    """Returns what each unit adds to the reader's outputs on average, in NumPy."""
    reader = model.get_layer("reader")
    read = keras.Model(model.inputs, reader.input)(x).numpy().astype("float64")
    kernel = reader.kernel.numpy().astype("float64")
    if kernel.ndim == 2:
        return read.mean(axis=0)[:, np.newaxis] * kernel
    patches = _patches(read, kernel, reader.strides[0], reader.padding)
    taps = kernel.reshape(-1, *kernel.shape[2:])
    return np.einsum("npkc,kco->co", patches, taps) / np.prod(patches.shape[:2])


def _value_of_real_models(model, x):
    """Returns the worth of a coalition: that of a model without the other units."""
    contributions = _mean_contributions(model, x)
    original = {layer.name: layer.get_weights() for layer in model.layers}

    def value_of(coalition):
        removed = np.flatnonzero(~coalition)
        for layer in model.layers:
            weights = [array.copy() for array in original[layer.name]]
            if layer.name in ("reader", "plain"):
                weights[0][..., removed, :] = 0
            if layer.name == "reader" and layer.use_bias:
                weights[1] += contributions[removed].sum(axis=0)
            if layer.name == "norm":
                weights[2] -= contributions[removed].sum(axis=0)  # moving mean
            layer.set_weights(weights)
        value = float(np.mean(_value(None, model(x, training=False))))
        for layer in model.layers:
            layer.set_weights(original[layer.name])
        return value

    return value_of


def _rank(model, x, estimator="permutation", replacement="mean", **arguments):
    ranker = ShapleyRanker(
        Custom(_value, replacement), estimator, batch_size=5, **arguments
    )
    return ranker.rank(model, (x, np.zeros(len(x))), "units", verbose=0)["units"]


def _problem(case):
    model = models.fresh(CASES[case])
    return model, models.images(model, 12)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("case", CASES)
def test_a_coalition_is_worth_what_a_real_model_is(case):
    model, x = _problem(case)
    value_of = _value_of_real_models(model, x)
    exact = games.exact_values(value_of, NUM_UNITS)
    found = _rank(model, x, "exact").values
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


@pytest.mark.sweep(1)
@pytest.mark.parametrize("case", ["same", "normalized", "last"])
def test_values_sum_to_the_worth_of_all_minus_that_of_none(case):
    model, x = _problem(case)
    value_of = _value_of_real_models(model, x)
    everyone = np.ones(NUM_UNITS, bool)
    expected = value_of(everyone) - value_of(~everyone)
    assert _rank(model, x).values.sum() == pytest.approx(expected, rel=1e-3)
    zero = _rank(model, x, replacement="zero").values.sum()
    assert abs(zero - expected) > 0.01 * abs(expected)


WITHOUT_A_PLACE = {
    "no bias": lambda: _convolution(use_bias=False),
    "no bias, activation": lambda: _normalized(activation="relu"),
}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("case", WITHOUT_A_PLACE)
def test_without_a_place_for_a_bias_zero_is_read(case):
    model = models.fresh(WITHOUT_A_PLACE[case])
    x = models.images(model, 8)
    mean, zero = (_rank(model, x, replacement=name) for name in ("mean", "zero"))
    np.testing.assert_array_equal(mean.values, zero.values)


def _shifts(model, x, layer="units", sizes=(5, 5, 2)):
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups(layer)
    batches = np.split(x, np.cumsum(sizes)[:-1])
    network = ForwardPass(channel_map.graph, [[tf.constant(b)] for b in batches])
    found = mean_shifts(network, channel_map, group)
    return {call.operation.name: shift.by_unit for call, shift in found.items()}


def test_means_are_over_all_examples_of_uneven_batches():
    model, x = _problem("same")
    shifts = _shifts(model, x)
    assert list(shifts) == ["reader"]
    np.testing.assert_allclose(
        shifts["reader"], _mean_contributions(model, x), rtol=1e-4, atol=1e-5
    )


def test_only_layers_that_can_take_it_are_shifted():
    model, x = _problem("two readers")
    assert list(_shifts(model, x)) == ["reader"]


@pytest.mark.parametrize("builder", [models.residual, models.shared])
def test_shifts_of_larger_models_are_what_all_units_contribute(builder):
    model = models.build(builder)
    x = models.images(model, 12)
    channel_map = trace_channels(model)
    for group in channel_map.groups:
        for name, by_unit in _shifts(model, x, group.producers[0]).items():
            layer = model.get_layer(name)
            assert by_unit.shape == (group.num_units, layer.kernel.shape[-1])
            if len(layer._inbound_nodes) > 1:
                continue
            outputs = keras.Model(model.inputs, layer.output)
            linear, layer.activation = layer.activation, keras.activations.linear
            mean = outputs(x).numpy().mean(axis=tuple(range(layer.output.ndim - 1)))
            layer.activation = linear
            expected = mean - layer.bias.numpy()
            np.testing.assert_allclose(by_unit.sum(axis=0), expected, atol=1e-4)


def test_means_cost_nothing_where_units_never_vary():
    model = models.fresh(CASES["same"])
    units = model.get_layer("units")
    units.set_weights([np.zeros(units.kernel.shape), np.full(NUM_UNITS, 0.7)])
    reader = model.get_layer("reader")
    reader.padding = "valid"  # the mean holds at every position
    x = models.images(model, 8)
    scores = _rank(model, x)
    np.testing.assert_allclose(scores.values, 0, atol=1e-4)
    assert np.abs(_rank(model, x, replacement="zero").values).max() > 0.1


def test_every_coalition_of_a_walk_in_a_window():
    model, x = _problem("dense")
    value_of = _value_of_real_models(model, x)
    everyone = np.ones(NUM_UNITS, bool)
    alone = []
    for unit in range(NUM_UNITS):
        without = everyone.copy()
        without[unit] = False
        alone.append(value_of(everyone) - value_of(without))
    # A window of one unit: what it is worth to all others, on the examples it drew.
    scores = _rank(model, x, Permutation(40, window=0.25))
    distance = np.abs(scores.values - alone)
    assert np.all(distance <= 4 * scores.standard_errors)
    assert len(set(itertools.chain(scores.values))) == NUM_UNITS
