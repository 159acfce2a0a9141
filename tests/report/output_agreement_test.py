"""Tests of how often two networks agree."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.report import output_agreement
from keras_shapley_prune.report.output_agreement import (
    compare_outputs,
    read_examples,
)
from keras_shapley_prune.trace.tracer import trace_channels


def graph_of(model):
    return trace_channels(model).graph


@pytest.mark.parametrize("most", [5, 500])
def test_first_examples_are_held_and_all_are_counted(monkeypatch, most):
    monkeypatch.setattr(output_agreement, "MOST_EXAMPLES", most)
    graph, (x, y) = graph_of(models.classifier()), models.labelled_images(23)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    for data in ((x, y), x, batches):
        first, count = read_examples(data, graph)
        assert count == 23
        held = np.concatenate([inputs[0] for inputs in first])
        np.testing.assert_array_equal(held, x[: min(most, 23)])


@pytest.mark.eager
def test_the_share_of_examples_of_the_same_class():
    model, other = models.classifier(), models.classifier()
    other.set_weights(
        [np.random.default_rng(0).normal(size=w.shape) for w in other.get_weights()]
    )
    x, _ = models.labelled_images(40)
    batches, _ = read_examples(x, graph_of(model))
    shares = []
    found = compare_outputs(
        model, (graph_of(model), graph_of(other)), batches, shares.append
    )
    classes = [np.argmax(network(x), axis=1) for network in (model, other)]
    assert found.share == np.mean(classes[0] == classes[1]) < 1
    assert (found.num_classes, found.num_examples) == (4, 40)
    assert sum(shares) == pytest.approx(1)


@pytest.mark.eager
def test_the_variance_of_what_names_no_class():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    graph = graph_of(model)
    batches, _ = read_examples(x, graph)
    same = compare_outputs(model, (graph, graph), batches, lambda share: None)
    assert (same.share, same.num_classes) == (1.0, None)
    other = keras.models.clone_model(model)
    other.set_weights([-100 * w for w in model.get_weights()])
    found = compare_outputs(
        model, (graph, graph_of(other)), batches, lambda share: None
    )
    assert found.share == -1.0  # far below, and JSON has no infinity
