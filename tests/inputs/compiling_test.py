"""Tests of the compile configuration of the copy."""

import functools

import keras
import models
import numpy as np
import pytest
from keras import layers
from odd_losses import OddLoss, OddMetric, SizedMetric, odd_loss, odd_metric

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.inputs.compiling import copy_compile_config
from keras_shapley_prune.trace.tracer import trace_channels


class OddSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that is not registered with Keras."""

    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / (1.0 + keras.ops.cast(step, "float32"))

    def get_config(self):
        return {"start": self.start}


class OddOptimizer(keras.optimizers.SGD):
    """An optimizer that is not registered with Keras."""


def _copy(**compile_arguments):
    """Returns `(model, pruned)`, both compiled and never fitted together."""
    model = models.classifier(compiled=False)
    compile_arguments.setdefault("loss", "sparse_categorical_crossentropy")
    compile_arguments.setdefault("run_eagerly", True)  # faster than a few traces
    model.compile(**compile_arguments)
    model.fit(*models.labelled_images(), verbose=0)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    pruned = remove_channels(model, keep, channel_map)
    assert not pruned.compiled
    pruned.compile(**copy_compile_config(model))
    return model, pruned


def _check_trains(pruned, names):
    x, y = models.labelled_images(64)
    before = pruned.evaluate(x, y, batch_size=64, verbose=0, return_dict=True)
    assert set(before) == set(names)
    pruned.fit(x, y, epochs=4, batch_size=64, verbose=0)
    after = pruned.evaluate(x, y, batch_size=64, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        ("sparse_categorical_crossentropy", "adam"),
        (keras.losses.SparseCategoricalCrossentropy(), "sgd"),
        (odd_loss, "adam"),
        (lambda labels, predictions: odd_loss(labels, predictions), "adam"),
        (OddLoss(2.0), "adam"),
    ],
)
def test_losses(loss, optimizer):
    model, pruned = _copy(optimizer=optimizer, loss=loss)
    assert pruned.loss == model.loss
    _check_trains(pruned, ["loss"])


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("accuracy", "accuracy"),
        (odd_metric, "odd_metric"),
        (OddMetric(name="odd"), "odd"),
        (keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2"), "top2"),
        (keras.metrics.MeanMetricWrapper(odd_metric, name="wrapped"), "wrapped"),
        (
            keras.metrics.MeanMetricWrapper(functools.partial(odd_metric), name="part"),
            "part",
        ),
    ],
)
def test_metrics(metric, name):
    model, pruned = _copy(
        optimizer="adam",
        metrics=[metric],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    x, y = models.labelled_images()
    model.evaluate(x, y, verbose=0)
    state = [v.numpy() for m in model.metrics for v in m.variables]
    names = list(pruned.evaluate(x, y, verbose=0, return_dict=True))
    assert names == list(model.evaluate(x, y, verbose=0, return_dict=True))
    assert {name, "sparse_categorical_crossentropy"} <= set(names)
    state = [v.numpy() for m in model.metrics for v in m.variables]
    pruned.evaluate(x[:3], y[:3], verbose=0)
    for value, before in zip(
        [v.numpy() for m in model.metrics for v in m.variables], state, strict=True
    ):
        np.testing.assert_array_equal(value, before)


def test_a_metric_without_a_config_is_named():
    with pytest.raises((TypeError, ValueError), match="SizedMetric"):
        _copy(optimizer="adam", metrics=[SizedMetric(2.0)])


def test_metrics_with_a_state_are_new_ones():
    metric = OddMetric(name="odd")
    model, pruned = _copy(optimizer="adam", metrics=[metric])
    pruned.evaluate(*models.labelled_images(), verbose=0)
    ours = pruned._compile_config.config["metrics"][0]
    assert type(ours) is OddMetric
    assert ours is not metric
    assert not {id(v) for m in pruned.metrics for v in m.variables} & {
        id(v) for m in model.metrics for v in m.variables
    }


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "adam",
        lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.02, clipnorm=1.0),
        lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.02, 1000)
        ),
        lambda: keras.optimizers.Adam(OddSchedule(0.02)),
        lambda: OddOptimizer(0.1),
    ],
)
def test_optimizers(optimizer):
    model, pruned = _copy(optimizer=optimizer())
    assert type(pruned.optimizer) is type(model.optimizer)
    assert pruned.optimizer is not model.optimizer
    assert int(pruned.optimizer.iterations) == 0
    assert int(model.optimizer.iterations) > 0
    ours, theirs = pruned.optimizer.get_config(), model.optimizer.get_config()
    assert str({**ours, "learning_rate": 0}) == str({**theirs, "learning_rate": 0})
    assert type(pruned.optimizer._learning_rate) is type(model.optimizer._learning_rate)
    steps = int(model.optimizer.iterations)
    _check_trains(pruned, ["loss"])
    assert int(model.optimizer.iterations) == steps


def test_a_learning_rate_that_was_changed_is_kept():
    model = models.classifier(compiled=False)
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 0.0125
    pruned = remove_channels(model, np.ones(trace_channels(model).num_units, bool))
    pruned.compile(**copy_compile_config(model))
    assert float(pruned.optimizer.learning_rate) == pytest.approx(0.0125)


def test_everything_else():
    _, pruned = _copy(
        optimizer="adam",
        run_eagerly=True,
        steps_per_execution=3,
        jit_compile=False,
    )
    assert pruned.run_eagerly
    assert pruned.steps_per_execution == 3
    assert pruned.jit_compile is False


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("loss", "loss_weights", "metrics"),
    [
        (["sparse_categorical_crossentropy", "mae"], [0.25, 2.0], None),
        (
            {"classes": "sparse_categorical_crossentropy", "size": "mse"},
            {"classes": 1.0, "size": 0.1},
            {"classes": ["accuracy", OddMetric(name="odd")], "size": "mae"},
        ),
    ],
)
def test_several_outputs(loss, loss_weights, metrics):
    model = models.fresh(models.two_ends)
    model.compile(
        "adam", loss, loss_weights=loss_weights, metrics=metrics, run_eagerly=True
    )
    x = models.inputs_of(model, 16)
    y = [np.arange(16) % 3, np.ones((16, 1))]
    model.fit(x, y, verbose=0)
    everything = np.ones(trace_channels(model).num_units, bool)
    pruned = remove_channels(model, everything)
    pruned.compile(**copy_compile_config(model))
    ours, theirs = (
        m.evaluate(x, y, verbose=0, return_dict=True) for m in (pruned, model)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
    pruned.fit(x, y, epochs=4, verbose=0)
    assert pruned.evaluate(x, y, verbose=0, return_dict=True)["loss"] < ours["loss"]


def test_a_model_that_is_not_compiled():
    assert copy_compile_config(models.classifier(compiled=False)) is None


@pytest.mark.eager
def test_a_model_loaded_from_disk(tmp_path):
    model = models.classifier()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pruned = remove_channels(loaded, np.ones(trace_channels(loaded).num_units, bool))
    pruned.compile(**copy_compile_config(loaded))
    _check_trains(pruned, ["loss", "accuracy"])


def test_a_model_without_a_loss_of_its_own():
    inputs = keras.Input((3,))
    x = layers.Dense(4, activity_regularizer="l2")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.compile("sgd")
    pruned = remove_channels(model, np.ones(trace_channels(model).num_units, bool))
    pruned.compile(**copy_compile_config(model))
    assert pruned.compiled
    assert pruned.loss is None
