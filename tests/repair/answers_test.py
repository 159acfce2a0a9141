"""Tests of what a network answers, and whether that is any good."""

import warnings

import keras
import models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.repair.answers import check_answers, measure_answers
from keras_shapley_prune.repair.sample import read_sample
from keras_shapley_prune.trace.recording import record_graph

WORDS = "Expected calibration data like .* Received: data of which it"


def naming(num_classes=10, activation="softmax", metrics=None, loss=None):
    """A network that names the class whose input is the largest."""
    layer = layers.Dense(num_classes, activation, use_bias=False)
    model = keras.Sequential([keras.Input((num_classes,)), layer])
    layer.kernel.assign(np.eye(num_classes))
    if metrics:
        model.compile("sgd", loss or "sparse_categorical_crossentropy", metrics=metrics)
    return model


def examples(num_classes=10, count=40):
    """Inputs, and what `naming` says of them."""
    labels = np.arange(count) % num_classes
    return np.eye(num_classes, dtype="float32")[labels], labels


def check(model, data):
    graph = record_graph(model)
    return check_answers(model, graph, read_sample(data, graph))


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("one_hot", [False, True])
def test_right_answers_pass(activation, one_hot):
    x, y = examples()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert check(
            naming(activation=activation), (x, np.eye(10)[y] if one_hot else y)
        )
        assert check(naming(activation=activation), x) == {}


def test_guesses_do_not():
    x, y = examples(count=60)
    wrong = np.random.default_rng(0).permutation(y)
    with pytest.warns(UserWarning, match=rf"{WORDS} names the classes of \d of 60 "):
        check(naming(), (x, wrong))
    with pytest.warns(UserWarning, match=r"names the classes of 0 of 60 .*from 0 to 1"):
        check(naming(), (x, (y + 1) % 10))  # labels that count from 1


def test_the_same_class_for_all_is_told_without_labels():
    _, y = examples()
    same = np.eye(10, dtype="float32")[np.full(40, 7)]
    with pytest.warns(UserWarning, match="the same class, 7 of 10, for 40 of 40"):
        check(naming(), same)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check(naming(4), np.eye(4, dtype="float32")[np.zeros(40, int)])  # may be so
        check(naming(), (same, np.full(40, 7)))  # images of one class
        check(naming(), (same[:15], y[:15]))  # says too little


def test_no_classes_no_answers():
    x = np.ones((40, 10), "float32")
    model = naming(activation=None)
    model.compile("sgd", "mse")
    assert check(model, (x, x)) == {}
    model.compile("sgd", "mse", metrics=["mae"])
    assert check(model, (x, x)) == pytest.approx({"mae": 0.0})


def test_the_metrics_are_those_that_it_is_compiled_with():
    x, y = examples()
    y[:10] = (y[:10] + 1) % 10
    model = naming(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    found = check(model, (x, y))
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(found) == set(expected) - {"loss"}
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-6)
    assert found["accuracy"] == 0.75
    assert check(naming(), (x, y)) == {"accuracy": 0.75}  # not compiled
    state = [v.numpy() for v in model.metrics_variables]
    check(model, (x[:5], y[:5]))  # the metrics of the model know nothing of that
    for before, variable in zip(state, model.metrics_variables, strict=True):
        np.testing.assert_array_equal(before, variable)


def test_weights_count_and_dicts_are_taken():
    x, y = examples()
    y[:20] = (y[:20] + 1) % 10
    weights = np.r_[np.zeros(20), np.ones(20)]
    model = naming()
    model.compile(
        "sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"]
    )
    assert check(model, (x, y, weights))["accuracy"] == 1.0
    inputs = keras.Input((10,))
    outputs = {"a": layers.Softmax()(inputs), "b": layers.Rescaling(1.0)(inputs)}
    both = keras.Model(inputs, outputs)
    both.compile("sgd", {"a": "categorical_crossentropy", "b": "mse"}, {"b": ["mae"]})
    both.compile("sgd", {"a": "categorical_crossentropy"}, metrics={"b": ["mae"]})
    assert list(check(both, (x, {"a": x, "b": x + 1})).values()) == [1.0]


def test_masked_steps_do_not_count():
    x = np.tile([[1, 2, 3, 0, 0]], (40, 1))
    steps = [layers.Embedding(4, 4, mask_zero=True), layers.Activation("softmax")]
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *steps])
    model.build()
    steps[0].embeddings.assign(np.eye(4))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    y = np.where(x == 0, 1, x)  # wrong where nothing is looked at
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(1.0)
    assert check(model, (x, y))["accuracy"] == pytest.approx(1.0)


def test_a_metric_that_fails_is_no_error():
    def broken(labels, outputs):
        raise TypeError("not of this form")

    x, y = examples()
    assert check(naming(metrics=[broken]), (x, y)) == {"accuracy": 1.0}


def test_a_pruned_network_is_measured_as_the_original_is():
    model, (x, y) = naming(metrics=["accuracy"]), examples()
    other = naming()
    other.set_weights([np.roll(np.eye(10), 1, axis=1)])
    sample = read_sample((x, y), record_graph(model))
    assert measure_answers(model, other, sample) == {"accuracy": 0.0}
    assert measure_answers(model, other, read_sample(x, record_graph(model))) == {}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", ["prune", "apply_plan", "repair_channels"])
def test_images_of_a_wrong_scale_are_noticed_before_any_work(name, monkeypatch):
    """There is no BatchNormalization that remembers the right ones."""
    keras.utils.set_random_seed(0)
    parts = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((6, 6, 1)), *parts, layers.Dense(10)])
    x = np.random.default_rng(0).normal(1, 1, (32, 6, 6, 1)).astype("float32")
    y = models.outputs_of(model, x)[0].argmax(axis=-1)
    ranking = keras_shapley_prune.BaselineRanker("l1_norm").rank(model)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5)
    calls = {
        "prune": lambda d: keras_shapley_prune.prune(model, d, verbose=0),
        "apply_plan": lambda d: keras_shapley_prune.apply_plan(
            model, plan, d, verbose=0
        ),
        "repair_channels": lambda d: keras_shapley_prune.repair_channels(
            model, plan.keep, d, verbose=0
        ),
    }
    y = (y + np.random.default_rng(1).integers(1, 10, 32)) % 10  # as good as guesses
    data = x if name == "repair_channels" else (x, y)
    if name == "repair_channels":  # reads no labels
        data = 0 * x
    with pytest.warns(UserWarning, match=WORDS) as caught:
        calls[name](data)
    ours = [one for one in caught if "of which it names" in str(one.message)]
    assert len(ours) == 1
    assert ours[0].filename == __file__  # the line that called
