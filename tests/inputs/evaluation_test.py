"""Tests of measuring a model by a metric."""

import models
import numpy as np
import pytest

from keras_shapley_prune.inputs.evaluation import (
    evaluate,
    lower_is_better,
    resolve_metric,
)


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


def test_direction():
    assert lower_is_better("val_loss") and lower_is_better("mean_squared_error")
    assert not lower_is_better("accuracy") and not lower_is_better(len)
