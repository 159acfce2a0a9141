"""Tests of what is measured of two models."""

import time

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.report import measurements
from keras_shapley_prune.report.measurements import (
    describe_environment,
    has_labels,
    measure_file_size,
    measure_latencies,
    measure_metrics,
)
from keras_shapley_prune.trace.tracer import trace_channels


def test_file_size_is_that_without_the_optimizer(tmp_path):
    model = models.build(models.residual)
    model.save(tmp_path / "model.keras")
    bare = (tmp_path / "model.keras").stat().st_size
    assert abs(measure_file_size(model) - bare) < 500
    # A wide model of whose file the weights are almost all.
    wide = keras.Sequential([keras.Input((300,)), layers.Dense(300)])
    wide.compile("adam", "mse")
    wide.fit(np.ones((2, 300)), np.ones((2, 300)), verbose=0)
    assert 4 * 300 * 301 < measure_file_size(wide) < 1.2 * 4 * 300 * 301 + 20_000


def test_a_model_that_cannot_be_saved():
    class Unsaved(layers.Dense):
        def get_config(self):
            raise NotImplementedError

    assert measure_file_size(keras.Sequential([keras.Input((2,)), Unsaved(2)])) is None


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.chain, models.two_ends])
def test_latencies_without_and_with_data(builder):
    model = models.build(builder)
    graph = trace_channels(model).graph
    for data in (None, models.inputs_of(model, 3)):
        found = measure_latencies([model, model], graph, data, batch_sizes=(1, 4))
        assert list(found) == [1, 4]
        assert all(0 < s < 5 for pair in found.values() for s in pair)


def test_the_batches_have_their_sizes():
    seen = []

    class Spy:
        def __call__(self, inputs, training):
            seen.append(inputs.shape)
            return inputs

    model = models.build(models.chain)
    graph = trace_channels(model).graph
    measure_latencies([Spy()], graph, models.images(model, 3), batch_sizes=(1, 7))
    assert set(seen) == {(1, 12, 12, 3), (7, 12, 12, 3)}


@pytest.mark.eager
@pytest.mark.parametrize(("seconds", "least"), [(0.0, 3), (60.0, 30)])
def test_it_is_run_as_often_as_there_is_time_for(monkeypatch, seconds, least):
    # In other tests there is none, see `few_runs` in conftest.py.
    monkeypatch.setattr(measurements, "_MAX_SECONDS", seconds)
    num_calls = []

    def run(inputs, training):
        num_calls.append(1)
        time.sleep(1e-3)  # one run is long enough for a sample
        return inputs

    graph = trace_channels(models.build(models.chain)).graph
    measure_latencies([run], graph, batch_sizes=(1,))
    assert len(num_calls) - least == 4  # traced, made ready, and two to warm up


def test_no_latency_where_a_size_is_not_known():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    graph = trace_channels(model).graph
    assert measure_latencies([model], graph) == {}
    data = np.zeros((2, 5, 5, 3), "float32")
    assert list(measure_latencies([model], graph, data, (2,))) == [2]


@pytest.mark.eager
def test_metrics_are_those_of_evaluate_and_nothing_changes():
    model, (x, y) = models.classifier(), models.labelled_images(24)
    before = models.snapshot(model, x)
    bare = models.classifier(compiled=False)
    bare.set_weights(model.get_weights())
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    for data in ((x, y), batches, [(x[:10], y[:10]), (x[10:], y[10:])]):
        found = measure_metrics([model, bare], data, model)
        assert set(found) == {"accuracy", "loss"}
        for name, value in model.evaluate(x, y, verbose=0, return_dict=True).items():
            np.testing.assert_allclose(found[name], [value, value], rtol=1e-5)
    assert models.snapshot(model, x) == before
    assert not bare.compiled


def test_accuracy_of_what_is_not_compiled():
    bare, (x, y) = models.classifier(compiled=False), models.labelled_images(24)
    found = measure_metrics([bare], (x, y), bare)
    expected = np.mean(np.argmax(bare(x), axis=1) == y)
    assert list(found) == ["accuracy"]
    np.testing.assert_allclose(found["accuracy"], [expected], rtol=1e-6)


def test_several_outputs_that_are_not_compiled():
    model = models.build(models.two_ends)
    data = models.inputs_of(model, 3), [np.zeros(3), np.zeros((3, 1))]
    assert measure_metrics([model], data, model) == {}


def test_labels_are_noticed():
    model, (x, y) = models.classifier(), models.labelled_images(4)
    graph = trace_channels(model).graph
    assert has_labels((x, y), graph)
    assert not has_labels(x, graph)
    assert not has_labels(tf.data.Dataset.from_tensor_slices(x).batch(2), graph)


def test_environment():
    found = describe_environment()
    assert found["tensorflow"] == tf.__version__
    assert found["keras"] == keras.__version__
    assert found["machine"] and found["cores"] >= 1


def test_metrics_of_a_model_that_is_compiled_without_a_loss():
    """As one whose class has its own."""
    model, data = models.classifier(), models.labelled_images(12)
    _, expected = model.evaluate(*data, verbose=0)
    model.compile("sgd", metrics=["accuracy"])
    assert measure_metrics([model], data, model) == {"accuracy": [expected]}
    model.compile("sgd")
    assert measure_metrics([model], data, model) == {}


@pytest.mark.eager
def test_the_accuracy_of_a_model_that_is_compiled_with_a_loss_alone():
    model, data = models.classifier(), models.labelled_images(12)
    _, expected = model.evaluate(*data, verbose=0)
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
    ):
        model.compile("sgd", loss)
        found = measure_metrics([model], data, model)
        assert found["accuracy"] == [expected] and set(found) == {"accuracy", "loss"}
    model.compile("sgd", "mse")
    assert set(measure_metrics([model], (data[0], np.eye(4)[data[1]]), model)) == {
        "loss"
    }
