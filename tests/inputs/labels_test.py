"""Labels: those that a loss takes are let through, all others are told of."""

import keras
import numpy as np
import pytest

from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.inputs.measurable import check_metric

SPARSE = keras.losses.SparseCategoricalCrossentropy


def _model(loss, *heads, shape=(4,), **options):
    """Returns a model compiled with a loss, with an output for each of `heads`."""
    inputs = keras.Input(shape)
    outputs = {n: keras.layers.Dense(size, name=n)(inputs) for n, size in heads}
    outputs = outputs if len(heads) > 1 else next(iter(outputs.values()))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss, **options)
    return model


def check(model, labels):
    resolve_loss(model).check_labels(labels, keras.tree.flatten(model.output))


CLASSES = np.array([0, 2, 1])
RIGHT = [
    ("sparse_categorical_crossentropy", 3, CLASSES),
    ("sparse_categorical_crossentropy", 3, CLASSES[:, np.newaxis]),
    ("sparse_categorical_crossentropy", 3, CLASSES.astype("float32")),
    ("sparse_categorical_crossentropy", 3, CLASSES.tolist()),
    (SPARSE(from_logits=True), 3, CLASSES),
    (SPARSE(ignore_class=255), 3, np.array([0, 255, 1])),
    ("categorical_crossentropy", 3, np.eye(3)),
    ("binary_crossentropy", 1, np.array([0, 1, 1])),
    ("binary_crossentropy", 1, np.array([[True], [False], [True]])),
    ("mse", 2, np.zeros((3, 2))),
    ("mse", 1, np.zeros(3)),
    ("hinge", 1, np.array([-1, 1, 1])),
    (lambda y, p: p[:, 0], 3, np.zeros((3, 7))),  # of the user's own: not tried
]


@pytest.mark.parametrize(("loss", "size", "labels"), RIGHT)
def test_right_labels(loss, size, labels):
    labels = labels if isinstance(labels, np.ndarray) else np.array(labels)
    check(_model(loss, ("out", size)), labels)


WRONG = [
    ("sparse_categorical_crossentropy", 3, [0, 3], "0 to 2.*such as 3"),
    (SPARSE(ignore_class=255), 3, [0, -1], "such as -1"),
    ("sparse_categorical_crossentropy", 3, [0, 0.5], "such as 0.5"),
    ("sparse_categorical_crossentropy", 3, np.eye(3), "'categorical_crossentropy'"),
    ("categorical_crossentropy", 3, [0, 1], "Keras says"),
    ("mse", 2, np.zeros((3, 5)), "Keras says"),
    ("mse", 2, np.zeros(2), "Keras says"),
    ("mse", 3, np.zeros(3), "Keras says"),
    ("mse", 2, ["a", "b", "c"], "numbers as labels"),
]


@pytest.mark.parametrize(("loss", "size", "labels", "words"), WRONG)
def test_wrong_labels(loss, size, labels, words):
    with pytest.raises(ValueError, match=words) as info:
        check(_model(loss, ("out", size)), np.array(labels))
    assert str(info.value).startswith("Argument `dataset` should give")


def test_several_outputs():
    losses = {"a": "sparse_categorical_crossentropy", "b": "mse"}
    model = _model(losses, ("a", 3), ("b", 1))
    check(model, {"a": CLASSES, "b": np.zeros(3)})
    check(model, [CLASSES, np.zeros(3)])
    check(model, {"a": CLASSES})  # Keras takes no loss of the other then
    for labels, words in (
        ({"a": CLASSES + 1, "b": np.zeros(3)}, "output 'a'"),
        ({"c": CLASSES}, r"labels of \['c'\]"),
        ([CLASSES], "1 entries"),
    ):
        with pytest.raises(ValueError, match=words):
            check(model, labels)


def test_classes_at_every_position():
    model = _model("sparse_categorical_crossentropy", ("out", 3), shape=(None, None, 4))
    check(model, np.zeros((2, 5, 6)))
    check(model, np.zeros((2, 5, 6, 1)))
    with pytest.raises(ValueError, match=r"shape \(2, 5\)"):
        check(model, np.zeros((2, 5)))


def test_names_of_metrics():
    mean = keras.metrics.Mean(name="own")
    metrics = ["accuracy", "mae", keras.metrics.AUC(name="area"), mean]
    model = _model("mse", ("out", 1), metrics=metrics)
    for name in ("loss", "accuracy", "mae", "area", "own"):
        check_metric(name, model)
    check_metric(lambda candidate: 0.0, model)
    with pytest.raises(ValueError, match="metric='typo'"):
        check_metric("typo", model)
    # What the metrics of several outputs are called only an evaluation tells.
    check_metric("typo", _model("mse", ("a", 1), ("b", 1)))
