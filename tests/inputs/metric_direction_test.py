"""Tests of which way metrics get better."""

import inspect

import keras
import numpy as np
import pytest

from keras_shapley_prune.inputs.metric_direction import mode_of_name, resolve_mode

# They add up whatever they are given.
_NEITHER = {"Mean", "MeanMetricWrapper", "Metric", "Sum"}
_MUST_RISE = """
    acc accuracy auc binary_accuracy binary_io_u categorical_accuracy
    concordance_correlation cosine_similarity f1_score f_beta_score io_u mean_io_u
    one_hot_io_u one_hot_mean_io_u pearson_correlation precision precision_at_recall
    r2_score recall recall_at_precision sensitivity_at_specificity
    sparse_categorical_accuracy sparse_top_k_categorical_accuracy
    specificity_at_sensitivity top_k_categorical_accuracy true_negatives true_positives
""".split()
_MUST_FALL = """
    bce binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy categorical_hinge false_negatives false_positives
    hinge huber kl_divergence kld log_cosh log_cosh_error loss mae mape
    mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error mse msle poisson root_mean_squared_error
    sparse_categorical_crossentropy squared_hinge
""".split()


def _evaluated(metrics, **outputs):
    """Returns a model that has been evaluated with some metrics, and what it gave."""
    inputs = keras.Input((3,))
    outputs = outputs or {"only": 3}
    layers = {n: keras.layers.Dense(k, name=n)(inputs) for n, k in outputs.items()}
    only = len(layers) == 1
    model = keras.Model(inputs, next(iter(layers.values())) if only else layers)
    model.compile(loss="mse", metrics=metrics)
    labels = {name: np.ones((4, k)) for name, k in outputs.items()}
    labels = labels["only"] if only else labels
    return model, model.evaluate(np.ones((4, 3)), labels, verbose=0, return_dict=True)


def test_names_that_keras_takes():
    assert {mode_of_name(name) for name in _MUST_RISE} == {"max"}
    assert {mode_of_name(name) for name in _MUST_FALL} == {"min"}


def test_every_metric_and_loss_of_keras_is_known():
    names = {n for n, v in vars(keras.metrics).items() if inspect.isclass(v)}
    assert {n for n in names if mode_of_name(n) is None} == _NEITHER
    functions = {n for n, v in vars(keras.metrics).items() if inspect.isfunction(v)}
    functions -= {"deserialize", "get", "serialize"}
    assert {n for n in functions if mode_of_name(n) is None} == set()


@pytest.mark.parametrize("name", ["my_score", "dice", "circle", "mean", "f1_macro", ""])
def test_other_names_are_not_known(name):
    assert mode_of_name(name) is None


def test_names_of_several_outputs_and_second_metrics():
    assert mode_of_name("a_mae", ["a"]) == mode_of_name("a_b_weighted_mse_2", ["a_b"])
    assert mode_of_name("a_mae", ["a"]) == mode_of_name("val_loss") == "min"
    assert mode_of_name("auc_1") == mode_of_name("balanced_accuracy") == "max"
    assert mode_of_name("a_mae") is None  # there is no such output


class _Own(keras.metrics.AUC):
    """A metric of one's own, made from one of Keras."""


def test_the_object_counts_more_than_its_name():
    score = keras.metrics.MeanSquaredError(name="accuracy_of_fit")
    loss = keras.metrics.MeanMetricWrapper(keras.losses.dice, name="score")
    metrics = [score, loss, keras.losses.cosine_similarity, _Own(name="x")]
    model, found = _evaluated(metrics)
    modes = {name: resolve_mode(name, "auto", model) for name in found}
    assert modes == {
        "loss": "min",
        "accuracy_of_fit": "min",
        "score": "min",
        "cosine_similarity": "min",  # the loss, which is minus the metric
        "x": "max",
    }
    model, _ = _evaluated(["cosine_similarity"])
    assert resolve_mode("cosine_similarity", "auto", model) == "max"


def test_metrics_of_several_outputs():
    own = keras.metrics.AUC(name="area")
    model, found = _evaluated({"a": ["mae", "acc"], "b": [own]}, a=3, b=1)
    modes = {name: resolve_mode(name, "auto", model) for name in found}
    assert modes == {
        "loss": "min",
        "a_loss": "min",
        "b_loss": "min",
        "a_mae": "min",
        "a_acc": "max",
        "b_area": "max",
    }


def test_what_is_not_known_is_refused_with_advice():
    def score(labels, outputs):
        return keras.ops.mean(outputs, axis=-1)

    model, _ = _evaluated([score])
    for name in ("score", "nothing_of_this_name"):
        with pytest.raises(ValueError, match=f"'min' or 'max' for metric='{name}'"):
            resolve_mode(name, "auto", model)
        assert resolve_mode(name, "min", model) == "min"
    assert resolve_mode(score, "auto", model) == "max"
    with pytest.raises(ValueError, match=r"`mode` should be one of .* mode='down'"):
        resolve_mode("loss", "down", model)
