import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load

import keras_shapley_prune as ksp

LAYERS = ["inner"]


@pytest.fixture(scope="module")
def neighbours():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "neighbours.py")
    sys.path[:] = path


@pytest.fixture
def model():
    """A residual block; its inner filters 4 to 7 are twins of 0 to 3."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    stream = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    hidden = layers.Conv2D(8, 3, padding="same", name="inner")(stream)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    hidden = layers.ReLU()(hidden)
    hidden = layers.Conv2D(4, 3, padding="same", name="reader")(hidden)
    outputs = layers.GlobalAveragePooling2D()(layers.Add()([stream, hidden]))
    model = keras.Model(inputs, layers.Dense(2)(outputs))
    for name in ("inner", "norm"):
        twins = []
        for weight in model.get_layer(name).weights:
            values = np.random.default_rng(1).uniform(0.5, 1.5, weight.shape)
            twins.append(np.concatenate([values[..., :4]] * 2, axis=-1))
        model.get_layer(name).set_weights([twin - (name == "inner") for twin in twins])
    kernel = model.get_layer("reader").kernel
    kernel.assign(np.concatenate([kernel.numpy()[:, :, :4]] * 2, axis=2))
    return model


@pytest.fixture
def images():
    return np.random.default_rng(2).normal(size=(32, 6, 6, 3)).astype("float32")


def assert_equal(received, model, images):
    expected = model.predict(images, verbose=0)
    received = received.predict(images, verbose=0)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def keep_all_but(model, removed):
    channel_map = ksp.trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.select_groups(LAYERS)[0].units[removed]] = False
    return keep


@pytest.mark.parametrize("finish", ["finish_grail", "finish_ours"])
def test_nothing_removed_changes_nothing(neighbours, model, images, finish):
    start = neighbours.Start(model, keep_all_but(model, []), {})
    assert_equal(getattr(neighbours, finish)(start, images), model, images)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("ratio", [0, 0.5])
def test_folding_twins_is_exact(neighbours, model, images, ratio):
    start = neighbours.fold(model, ratio, LAYERS, seed=0)
    assert_equal(start.model, model, images)
    folded = neighbours.finish_folding(start, images)
    assert folded.get_layer("inner").filters == 8 - 8 * ratio
    assert_equal(folded, model, images)


def test_filters_become_the_means_of_their_cluster(neighbours, model, images):
    keras.utils.set_random_seed(3)
    close = model.get_layer("inner").kernel
    noise = 1e-3 * np.random.default_rng(3).normal(size=close.shape)
    close.assign(close.numpy() + noise)
    folded = neighbours.finish_folding(neighbours.fold(model, 0.5, LAYERS, 0), images)
    means = close.numpy().reshape(3, 3, 4, 2, 4).mean(axis=3)
    found = folded.get_layer("inner").kernel.numpy()
    order = [
        np.argmin(np.abs(means - found[..., [i]]).sum((0, 1, 2))) for i in range(4)
    ]
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(found, means[..., order], atol=1e-6)


def test_grail_reconstructs_twins(neighbours, model, images, monkeypatch):
    monkeypatch.setattr(neighbours, "ALPHA", 1e-9)
    start = neighbours.Start(model, keep_all_but(model, slice(2, 6)), {})
    before = model.get_weights()
    smaller = neighbours.finish_grail(start, images)
    assert smaller.get_layer("inner").filters == 4
    assert_equal(smaller, model, images)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_statistics_are_those_of_the_images(neighbours, model, images):
    neighbours.estimate_statistics(model, images)
    norm = model.get_layer("norm")
    seen = keras.Model(model.input, norm.input).predict(images, verbose=0)
    np.testing.assert_allclose(norm.moving_mean, seen.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, seen.var((0, 1, 2)), rtol=1e-3)
