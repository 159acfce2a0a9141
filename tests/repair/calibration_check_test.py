"""Tests of the check of calibration data against what a network remembers."""

import re
import warnings

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.repair.calibration_check import (
    NUM_LAYERS,
    check_calibration,
    measure_distances,
)
from keras_shapley_prune.repair.sample import read_sample
from keras_shapley_prune.trace.recording import record_graph

WORDS = "Expected calibration data like"


def images(num_examples=32, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(0.4, 0.2, (num_examples, 8, 8, 3)).astype("float32")


@pytest.fixture
def model():
    """A network whose normalizations remember `images`."""
    parts = [keras.Input((8, 8, 3))]
    for width in (6, 6, 6, 6):
        parts += [layers.Conv2D(width, 3, padding="same", use_bias=False)]
        parts += [layers.BatchNormalization(momentum=0.0), layers.ReLU()]
    model = keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(4)])
    model(images(200, seed=1), training=True)
    return model


def distances_of(model, data):
    return measure_distances(record_graph(model), [[tf.constant(data)]])


def check(model, data):
    graph = record_graph(model)
    check_calibration(graph, read_sample(data, graph))


def test_the_right_data_passes(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check(model, images())
    assert max(found.total for found in distances_of(model, images())) < 0.3


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 255 * x,
        lambda x: x / 255,
        lambda x: 2 * x - 1,
        lambda x: x + 0.6,
        lambda x: np.zeros_like(x),
    ],
    ids=["too large", "too small", "-1 to 1", "brighter", "black"],
)
def test_data_of_another_kind_does_not(model, change):
    with pytest.warns(UserWarning, match=WORDS) as caught:
        check(model, change(images()))
    (found,) = [one for one in caught if one.category is UserWarning]
    assert "scale" in str(found.message)


def test_the_distance_is_told(model):
    farthest = max(distances_of(model, 255 * images()), key=lambda found: found.total)
    words = f"{farthest.name!r}.*distance of {re.escape(f'{farthest.total:.3g}')},"
    with pytest.warns(UserWarning, match=words):
        check(model, 255 * images())


def test_a_distance_of_known_size():
    """Means that are one remembered deviation off, deviations twice as large."""
    model = keras.Sequential([keras.Input((2,)), layers.BatchNormalization(epsilon=0)])
    model.layers[0].moving_mean.assign([1.0, 1.0])
    model.layers[0].moving_variance.assign([4.0, 4.0])
    data = 3 + 4 * np.array([[1, -1], [-1, 1]], "float32")
    (found,) = distances_of(model, data)
    assert found.name == model.layers[0].name
    np.testing.assert_allclose([found.shift, found.stretch], [1, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(found.total, np.hypot(1, np.log(2)), rtol=1e-6)


def test_only_the_first_layers_are_looked_at(model):
    assert len(distances_of(model, images())) == NUM_LAYERS


def test_what_a_branch_elsewhere_computes_is_not_run():
    inputs = keras.Input((8, 8, 3))
    aside = layers.Conv2D(4, 3, name="aside")(inputs)
    x = layers.BatchNormalization(momentum=0.0)(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, [aside, x])
    model(images(), training=True)
    expected = distances_of(model, images())[0].total
    model.get_layer("aside").call = None  # it cannot be called any more
    assert distances_of(model, images())[0].total == expected


def test_networks_that_remember_nothing():
    assert distances_of(models.build(models.classifier), images(4)[:, :6, :6, :1]) == []
    untrained = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()]
    )
    assert distances_of(untrained, images()) == []


def test_a_layer_that_is_called_twice_is_left_out(model):
    inputs = keras.Input((4,))
    shared = layers.BatchNormalization(momentum=0.0)
    twice = keras.Model(inputs, shared(shared(inputs) + 5))
    twice(np.random.default_rng(0).normal(size=(32, 4)), training=True)
    assert distances_of(twice, np.ones((32, 4), "float32")) == []


def test_few_examples_say_nothing(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check(model, 255 * images(15))


def _prune(model, data):
    keras_shapley_prune.prune(model, data, ranker="l1_norm", verbose=0)


def _apply_plan(model, data):
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(model)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5)
    keras_shapley_prune.apply_plan(model, plan, data, verbose=0)


def _repair_channels(model, data):
    keep = models.random_keep(keras_shapley_prune.trace_channels(model), 0.5)
    keras_shapley_prune.repair_channels(model, keep, data, verbose=0)


def _prune_until(model, data):
    keras_shapley_prune.prune_until(
        model, data, 1, metric=lambda model: 0.0, ranker="l1_norm", verbose=0
    )


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "function", [_prune, _apply_plan, _repair_channels, _prune_until]
)
def test_whoever_reads_data_warns_once(model, function):
    with pytest.warns(UserWarning) as caught:
        function(model, 255 * images())
    ours = [one for one in caught if WORDS in str(one.message)]
    assert len(ours) == 1
    assert ours[0].filename == __file__  # the line that called
