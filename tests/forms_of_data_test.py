"""Every function that reads data takes it as Keras does, and only what ends."""

import itertools

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator

import keras_shapley_prune as ksp
from keras_shapley_prune.inputs import limits

FAST = {"ranker": "l1_norm", "verbose": 0}
X, Y = models.labelled_images(24)


def _endless():
    while True:
        yield X, Y


ENDLESS = {
    "generator": _endless,
    "cycle": lambda: itertools.cycle([(X, Y)]),
    "tf.data": lambda: tf.data.Dataset.from_tensors((X, Y)).repeat(),
    "tf.data of a generator": lambda: tf.data.Dataset.from_generator(
        _endless,
        output_signature=(
            tf.TensorSpec((None, *X.shape[1:])),
            tf.TensorSpec((None,), tf.int64),
        ),
    ),
}


@pytest.fixture(scope="module")
def made():
    """A model, one pruned from it, and a ranking."""
    model = models.classifier()
    pruned = ksp.prune(model, X, 0.5, **FAST)
    return model, pruned, ksp.BaselineRanker("l1_norm").rank(model, X, verbose=0)


MIMIC = {"num_steps": 1, "batch_size": 8}
READERS = {
    "prune": lambda data, model, *_: ksp.prune(model, data, 0.5, **FAST),
    "rank": lambda data, model, *_: ksp.ShapleyRanker().rank(model, data, verbose=0),
    "baseline": lambda data, model, *_: ksp.BaselineRanker("taylor").rank(
        model, data, verbose=0
    ),
    "prune_until": lambda data, model, *_: ksp.prune_until(
        model, data, 0.5, validation_data=(X, Y), **FAST
    ),
    "validation": lambda data, model, *_: ksp.prune_until(
        model, X, 0.5, validation_data=data, **FAST
    ),
    "repair_channels": lambda data, model, *_: ksp.repair_channels(
        model, {"conv": [0, 1]}, data, verbose=0
    ),
    "compare": lambda data, model, pruned, _: ksp.compare(
        model, pruned, data, measure="metrics", verbose=0
    ),
    "measure_frontier": lambda data, model, _, ranking: ksp.measure_frontier(
        model, ranking, X, (0.5,), validation_data=data
    ),
    "measure_ablation": lambda data, model, _, ranking: ksp.measure_ablation(
        model, ranking, data, num_points=2
    ),
    "extra_images": lambda data, model, *_: ksp.prune(
        model, X, 0.5, repair=ksp.Mimic(extra_images=data, **MIMIC), **FAST
    ),
    "mimic": lambda data, model, pruned, _: ksp.mimic(
        pruned, model, data, ksp.Mimic(**MIMIC)
    ),
    "apply_plan": lambda data, model, _, ranking: ksp.apply_plan(
        model, ksp.plan_pruning(model, ranking, 0.5), data, verbose=0
    ),
}


@pytest.mark.sweep(4)
@pytest.mark.parametrize("form", ENDLESS)
@pytest.mark.parametrize("reader", READERS)
def test_what_has_no_end_is_refused(reader, form, made, monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMPLES", 200)
    name = {"validation": "validation_data", "extra_images": "extra_images"}
    name = name.get(reader, "(dataset|data|validation_data)")
    message = rf"Argument `({name}|dataset)` should be finite.*itertools\.islice"
    with pytest.raises(ValueError, match=message):
        READERS[reader](ENDLESS[form](), *made)


@pytest.mark.sweep(1)
@pytest.mark.filterwarnings("ignore:Expected training to bring")
@pytest.mark.parametrize("reader", READERS)
def test_images_of_keras_are_read_once_round(reader, made):
    images = ImageDataGenerator().flow(X, Y, batch_size=7)
    READERS[reader](images, *made)


@pytest.mark.parametrize("reader", ["prune", "compare", "apply_plan"])
def test_a_part_of_a_generator(reader, made):
    READERS[reader](itertools.islice(_endless(), 2), *made)


def _two_inputs():
    left, right = keras.Input((8, 8, 1), name="left"), keras.Input((5,), name="right")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(left)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), right])
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    model = keras.Model([left, right], layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


LEFT = np.random.default_rng(0).normal(size=(24, 8, 8, 1)).astype("float32")
RIGHT = np.random.default_rng(1).normal(size=(24, 5)).astype("float32")
SEVERAL = {
    "list": [LEFT, RIGHT],
    "tuple": (LEFT, RIGHT),
    "list in a tuple": ([LEFT, RIGHT],),
    "no labels": ([LEFT, RIGHT], None),
    "labels": ([LEFT, RIGHT], Y % 3),
    "dict": {"right": RIGHT, "left": LEFT},
}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("form", SEVERAL)
def test_several_inputs(form):
    model = _two_inputs()
    expected = ksp.prune(model, ([LEFT, RIGHT], Y % 3), 0.5, verbose=0)
    pruned = ksp.prune(model, SEVERAL[form], 0.5, verbose=0)
    outputs = [m([LEFT, RIGHT]).numpy() for m in (pruned, expected)]
    np.testing.assert_allclose(*outputs, atol=1e-5)


@pytest.mark.eager
def test_metrics_of_several_inputs():
    model, data = _two_inputs(), ([LEFT, RIGHT], Y % 3)
    pruned = ksp.prune(model, [LEFT, RIGHT], 0.5, **FAST)
    expected = tuple(m.evaluate(*data, verbose=0)[1] for m in (model, pruned))
    for given in (data, [([LEFT, RIGHT], Y % 3)], iter([((LEFT, RIGHT), Y % 3)])):
        found = ksp.compare(model, pruned, given, measure="metrics", verbose=0)
        assert found.metrics["accuracy"] == pytest.approx(expected)


def _plain():
    inputs = keras.Input(batch_shape=(8, 6, 6, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    return keras.Model(
        inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x))
    )


def _written_out():
    """A network that holds its batch size."""
    inputs = keras.Input(batch_shape=(8, 6, 6, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = keras.ops.reshape(x, (8, 4, 4, 6))
    return keras.Model(
        inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x))
    )


@pytest.mark.sweep(1)
@pytest.mark.filterwarnings("ignore:The model takes batches of 8 examples")
@pytest.mark.filterwarnings("ignore:Expected training to bring")
@pytest.mark.parametrize("build", [_plain, _written_out])
@pytest.mark.parametrize("reader", READERS)
def test_a_fixed_batch_size(reader, build):
    model, data = build(), (np.tile(X, (2, 1, 1, 1))[:43], np.tile(Y, 2)[:43])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    first = (data[0][:24], data[1][:24])
    pruned = ksp.prune(model, first, 0.5, **FAST)
    ranking = ksp.BaselineRanker("l1_norm").rank(model, first, verbose=0)
    READERS[reader](data, model, pruned, ranking)


def test_latency_at_a_fixed_batch_size():
    model = _written_out()
    pruned = ksp.prune(model, X, 0.5, **FAST)
    for data in (None, X):
        found = ksp.compare(model, pruned, data, measure="latency", verbose=0)
        assert list(found.latency) == [8]
