"""Tests of measuring a model by a metric."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from datasets import EndlessBatches

from keras_shapley_prune.inputs import limits
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.evaluation import (
    evaluate,
    resolve_metric,
)


@pytest.mark.eager
def test_by_name_and_by_function():
    model, (x, y) = models.classifier(), models.labelled_images(16)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    for data in ((x, y), [(x[:8], y[:8]), (x[8:], y[8:])]):
        assert evaluate(model, data) == pytest.approx(
            {"loss": loss, "accuracy": accuracy}
        )
        measure = resolve_metric("accuracy", model, data)
        assert measure(model) == pytest.approx(accuracy)
    assert resolve_metric(lambda model: len(model.layers), model, None)(model) == 4.0


@pytest.mark.eager
def test_sample_weights_count():
    model, (x, y) = models.classifier(), models.labelled_images(16)
    weights = np.linspace(0, 3, 16, dtype="float32")
    found = evaluate(model, (x, y, weights))["loss"]
    expected = model.evaluate(x, y, sample_weight=weights, verbose=0)[0]
    assert found == pytest.approx(expected)
    assert found != pytest.approx(evaluate(model, (x, y))["loss"], rel=1e-3)


def test_what_cannot_be_measured():
    model, data = models.classifier(), models.labelled_images(4)
    with pytest.raises(ValueError, match=r"\['accuracy', 'loss'\].*metric='f1'"):
        resolve_metric("f1", model, data)(model)
    with pytest.raises(ValueError, match="not compiled"):
        resolve_metric("loss", models.classifier(compiled=False), data)
    with pytest.raises(ValueError, match=r"`metric`.*a number. Received: .*None"):
        resolve_metric(lambda model: None, model, data)(model)


def _in_batches(x, y, sizes):
    stops = np.cumsum(sizes)
    parts = [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    return [(x[part], y[part]) for part in parts]


class Numbered:
    """Batches by number, which are no `PyDataset`."""

    def __init__(self, batches):
        self._batches = batches

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


class Images(Numbered, keras.utils.PyDataset):
    """The same as one, whose iterator never ends."""

    def __init__(self, batches):
        keras.utils.PyDataset.__init__(self, workers=2)
        super().__init__(batches)

    def __iter__(self):
        return self

    def __next__(self):
        return self[0]


@pytest.mark.eager
@pytest.mark.sweep(4)  # of different sizes
@pytest.mark.parametrize("sizes", [[16], [5, 5, 5, 1], [1] * 16])
@pytest.mark.parametrize(
    "form",
    [
        list,
        Numbered,
        Images,
        lambda batches: make_repeatable(iter(batches)),
        lambda batches: [[x, y] for x, y in batches],
        lambda batches: [({"image": x}, y) for x, y in batches],
    ],
)
def test_each_example_counts_once(form, sizes):
    model, (x, y) = models.classifier(), models.labelled_images(16)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    found = evaluate(models.classifier(), form(_in_batches(x, y, sizes)))
    assert found == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-4)


def test_batches_of_different_sizes():
    inputs = keras.Input((None, 1))
    outputs = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(2, 1)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    batches = [(np.ones((2, n, 1)), np.zeros((2, 2))) for n in (3, 3, 5, 4)]
    expected = np.mean([model.evaluate(*batch, verbose=0) for batch in batches])
    assert evaluate(model, batches)["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "data",
    [
        lambda left, right, y: ([left, right], y),
        lambda left, right, y: ((left, right), y, np.ones(10)),
        lambda left, right, y: ({"right": right, "left": left}, y),
        lambda left, right, y: [
            ([left[:7], right[:7]], y[:7]),
            ([left[7:], right[7:]], y[7:]),
        ],
        lambda left, right, y: [({"left": left, "right": right}, y)],
        lambda left, right, y: [([left, right], y, np.ones(10))],
    ],
)
def test_several_inputs(data):
    left, right = keras.Input((3,), name="left"), keras.Input((5,), name="right")
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([left, right]))
    model = keras.Model([left, right], outputs)
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(10, size)) for size in (3, 5, 2)]
    expected = model.evaluate(arrays[:2], arrays[2], verbose=0)
    assert evaluate(model, data(*arrays))["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.eager
@pytest.mark.filterwarnings("ignore:The model takes batches of 4 examples")
@pytest.mark.parametrize("form", [tuple, lambda data: _in_batches(*data, [7, 3])])
def test_a_fixed_batch_size(form):
    inputs = keras.Input(batch_shape=(4, 3))
    rows = keras.ops.reshape(keras.layers.Dense(2)(inputs), (8, 1))
    model = keras.Model(inputs, keras.ops.reshape(rows, (4, 2)))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x, y = (generator.normal(size=(10, size)) for size in (3, 2))
    expected = model.evaluate(x[:8], y[:8], batch_size=4, verbose=0)
    assert evaluate(model, form((x, y)))["loss"] == pytest.approx(expected, rel=1e-4)


ENDLESS = {
    "tf.data": lambda batch: tf.data.Dataset.from_tensors(batch).repeat(),
    "tf.data, filtered": lambda batch: (
        tf.data.Dataset.from_tensors(batch).repeat().filter(lambda *_: True)
    ),
    "PyDataset": EndlessBatches,
}


@pytest.mark.parametrize("form", ENDLESS)
def test_what_has_no_end_is_refused(form, monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMPLES", 100)
    data = ENDLESS[form](models.labelled_images(10))
    with pytest.raises(ValueError, match=r"should be finite.*itertools\.islice"):
        evaluate(models.classifier(), data)


def test_what_ends_in_time_may_have_an_unknown_length(monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMPLES", 100)
    model, (x, y) = models.classifier(), models.labelled_images(96)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16).filter(lambda *_: True)
    expected = model.evaluate(x, y, verbose=0)[0]
    assert evaluate(model, data)["loss"] == pytest.approx(expected, rel=1e-4)
