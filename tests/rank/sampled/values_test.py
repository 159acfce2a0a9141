"""Tests of the value functions of a game."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.rank.games import KL
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker


def _classifier(activation):
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(3, activation=activation)(inputs))


@pytest.mark.parametrize("activation", ["softmax", None])
def test_divergence_is_kl_of_the_probabilities(activation):
    value = KL().open_value(_classifier(activation))
    numbers = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    original, other = tf.nn.softmax(numbers).numpy()
    outputs = (original, other) if activation else tuple(numbers)
    found = value((), [outputs[1]], None, [outputs[0]])
    expected = -keras.losses.kl_divergence(original, other)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_divergence_of_independent_probabilities():
    value = KL().open_value(_classifier("sigmoid"))
    p, q = np.random.default_rng(0).uniform(0.1, 0.9, (2, 4, 3)).astype("float32")
    both = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    np.testing.assert_allclose(value((), [q], None, [p]), -both.mean(axis=1), atol=1e-5)


def test_divergence_of_the_whole_network_is_nothing():
    value = KL().open_value(_classifier("softmax"))
    outputs = [tf.nn.softmax(np.ones((4, 3), "float32"))]
    np.testing.assert_array_equal(value((), outputs, None, outputs), 0)


def test_a_softmax_layer_gives_probabilities():
    inputs = keras.Input((5,))
    x = layers.Dense(3)(inputs)
    value = KL().open_value(keras.Model(inputs, layers.Softmax()(x)))
    p = np.array([[0.2, 0.3, 0.5]], "float32")
    q = np.array([[0.4, 0.3, 0.3]], "float32")
    expected = np.sum(p * np.log(p / q))
    np.testing.assert_allclose(value((), [q], None, [p]), [-expected], atol=1e-5)


@pytest.mark.eager
def test_images_alone_can_be_ranked():
    model = models.build(models.residual)
    images = models.images(model, 20)
    ranking = ShapleyRanker("kl").rank(model, images, verbose=0)
    for scores in ranking.values():
        assert scores.values.sum() > 0  # what is left of nothing is far off


def test_a_function_of_the_users():
    model = models.build(models.chain)
    images = models.images(model, 20)
    labels = np.zeros((20, 1), "float32")

    def first_class(labels, outputs):
        return outputs[:, 0] + labels[:, 0]

    ranking = ShapleyRanker(first_class).rank(model, (images, labels), verbose=0)
    keep_nothing = model.get_layer("dense2")
    bias = keras.ops.softmax(keep_nothing.bias[None])[0, 0]
    expected = model.predict(images, verbose=0)[:, 0].mean() - bias
    assert ranking["dense1"].values.sum() == pytest.approx(float(expected), abs=1e-5)
