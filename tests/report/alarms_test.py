"""Tests of what is said first: networks and data that are badly wrong."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import compare
from keras_shapley_prune.repair.sample import FEWEST


def brightest_quarter():
    """Returns a network that is always right on `models.labelled_images`."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 1, use_bias=False, name="conv"),
            layers.AveragePooling2D(3),
            layers.Flatten(),
            layers.Dense(4, "softmax", name="classes"),
        ]
    )
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 2))])
    kernel = np.repeat(np.eye(4), 2, axis=0)
    model.get_layer("classes").set_weights([9 * kernel, np.zeros(4)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def spoiled(model):
    """Returns a copy of which the outputs are those of other classes."""
    copy = keras.models.clone_model(model)
    weights = model.get_weights()
    copy.set_weights([*weights[:-2], np.roll(weights[-2], 1, axis=1), weights[-1]])
    return copy


@pytest.fixture
def data():
    return models.labelled_images(FEWEST)


def alarms_of(*args, **kwargs):
    return compare(*args, measure=["metrics", "agreement"], verbose=0, **kwargs).alarms


@pytest.mark.eager
def test_nothing_is_said_of_what_is_right(data):
    model = brightest_quarter()
    assert alarms_of(model, model, data) == ()


@pytest.mark.eager
def test_a_ruined_network_is_noticed(data, capsys):
    model = brightest_quarter()
    comparison = compare(model, spoiled(model), data, measure=["metrics", "agreement"])
    assert comparison.metrics["accuracy"] == (1.0, 0.0)
    disagrees, guesses = comparison.alarms
    assert "agrees with the original on 0% of 16 examples" in disagrees
    assert "pruned network reaches 0.0% accuracy" in guesses and "25.0%" in guesses
    assert f"\n!! {disagrees}\n!! {guesses}\nlayer " in f"\n{capsys.readouterr().out}"


@pytest.mark.eager
def test_it_is_noticed_without_labels_too(data):
    model = brightest_quarter()
    (alarm,) = alarms_of(model, spoiled(model), data[0])
    assert "agrees with the original on 0%" in alarm


@pytest.mark.eager
def test_data_of_a_wrong_scale_is_noticed(data):
    """Two networks agree on it, and both are at a loss."""
    model = brightest_quarter()
    (alarm,) = alarms_of(model, model, (-data[0], data[1]))
    assert "original network itself reaches" in alarm and "scale" in alarm


def test_data_unlike_that_of_training_is_noticed():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 1, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(4, "softmax"),
        ]
    )
    images, _ = models.labelled_images(32)
    read = keras.ops.convert_to_numpy(model.get_layer("conv")(images))
    axes = (0, 1, 2)
    model.get_layer("norm").set_weights(
        [np.ones(2), np.zeros(2), read.mean(axes), read.var(axes)]
    )
    assert alarms_of(model, model, images) == ()
    (alarm,) = alarms_of(model, model, 255 * images)
    assert "'norm'" in alarm and "scale" in alarm


@pytest.mark.eager
def test_few_examples_say_too_little(data):
    model, few = brightest_quarter(), FEWEST - 1
    assert alarms_of(model, spoiled(model), data[0][:few]) == ()
