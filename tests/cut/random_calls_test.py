"""Tests of finding out which calls draw at random."""

import keras
import noisy_models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.random_calls import find_random_calls
from keras_shapley_prune.trace.recording import record_graph


def _find(model, inputs):
    found = find_random_calls(record_graph(model), inputs)
    return {
        kind: [call.name for call in getattr(found, kind)]
        for kind in ("seeded", "unseeded", "stateful")
        if getattr(found, kind)
    }


def _images():
    return np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")


@pytest.mark.parametrize(
    ("source", "kind"),
    [("own", "seeded"), ("keras", "seeded"), ("tensorflow", "unseeded")],
)
def test_sources(source, kind):
    layer = noisy_models.Sampling(source, name="sampling")
    model = noisy_models.autoencoder(layer)
    before = noisy_models.states_of(model)
    assert _find(model, _images()) == {kind: ["sampling"]}
    for old, new in zip(before, noisy_models.states_of(model), strict=True):
        np.testing.assert_array_equal(old, new)


def _add_noise(inputs):
    return inputs + tf.random.normal(tf.shape(inputs))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)), name="x"),
        layers.Lambda(_add_noise, name="x"),
        layers.Activation(_add_noise, name="x"),
        layers.TimeDistributed(layers.Lambda(_add_noise), name="x"),
        layers.Dense(4, activation=lambda x: _add_noise(x), name="x"),
    ],
)
def test_functions_that_draw(layer):
    assert _find(noisy_models.classifier(layer), _images()) == {"unseeded": ["x"]}


@pytest.mark.parametrize(
    "layer",
    [
        layers.GaussianNoise(0.5),
        layers.Dropout(0.5),
        layers.RandomFlip(),
        layers.RandomRotation(0.5),
        layers.RandomContrast(0.5),
        layers.Lambda(lambda x: keras.random.normal((1,), seed=3) + x),
        layers.Lambda(lambda x: x + 1),
    ],
)
def test_what_is_the_same_in_every_run(layer):
    assert _find(noisy_models.classifier(layer), _images()) == {}


def test_a_flag_of_training_is_overridden_in_inference():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.GaussianNoise(0.5)(inputs, training=True))
    assert np.abs(model.predict(np.ones((2, 8)), verbose=0) - 1).max() == 0
    assert _find(model, np.ones((2, 8), "float32")) == {}


def test_what_remembers_without_drawing():
    counter = noisy_models.Counter(name="counter")
    model = noisy_models.classifier(counter)
    assert _find(model, _images()) == {"stateful": ["counter"]}
    assert int(counter.count) == 0
    steps = np.ones((4, 6, 3), "float32")
    assert _find(noisy_models.stateful(), steps) == {"stateful": ["lstm"]}


def test_layers_within_models():
    inner = noisy_models.classifier(noisy_models.Noise(name="noise"))
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
    assert _find(model, _images()) == {"seeded": [f"{inner.name}/noise"]}


def test_strings_are_compared():
    lookup = keras.Input((), dtype="string")
    upper = layers.Lambda(tf.strings.upper, output_shape=())
    model = keras.Model(lookup, upper(lookup))
    assert _find(model, tf.constant(["a", "b"])) == {}


def test_the_warnings_name_the_layers():
    graph = record_graph(noisy_models.autoencoder(noisy_models.Sampling(name="draw")))
    with pytest.warns(UserWarning, match=r"in inference: \['draw'\].* the same draws"):
        find_random_calls(graph, _images()).warn()
    layer = noisy_models.Sampling("tensorflow", name="draw")
    graph = record_graph(noisy_models.autoencoder(layer))
    with pytest.warns(UserWarning, match=r"\['draw'\].* cannot be repeated"):
        find_random_calls(graph, _images()).warn()
