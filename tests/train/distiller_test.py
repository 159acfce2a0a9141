"""Tests of training a pruned network towards the original."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import Distiller, apply_plan, plan_pruning
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker


@pytest.fixture(scope="module")
def trained_weights():
    """The weights of a trained network."""
    model = models.classifier()
    model.optimizer.learning_rate = 0.02
    model.fit(*models.labelled_images(256), epochs=15, verbose=0)
    return model.get_weights()


@pytest.fixture
def pair(trained_weights):
    """A trained network and a smaller one, which is not repaired."""
    model = models.classifier()
    model.set_weights(trained_weights)
    x, _ = models.labelled_images(256)
    ranking = BaselineRanker("l1_norm").rank(model, x[:16], verbose=0)
    plan = plan_pruning(model, ranking, 0.5)
    pruned = apply_plan(model, plan, repair=None, verify=False)
    pruned.optimizer.learning_rate = 0.02
    return pruned, model


def distance(student, teacher, x):
    return float(np.abs(student(x) - teacher(x)).mean())


def snapshot(model):
    return [weight.copy() for weight in model.get_weights()]


def test_labels_are_not_needed(pair):
    student, teacher = pair
    x, _ = models.labelled_images(256)
    before, weights = distance(student, teacher, x), snapshot(teacher)
    history = Distiller(student, teacher).fit(x, epochs=30, verbose=0).history
    assert set(history) == {"loss", "distillation"}
    assert history["loss"][-1] < history["loss"][0] / 2
    assert distance(student, teacher, x) < before / 2
    for now, then in zip(teacher.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.eager
def test_the_metrics_of_the_student_are_reported(pair):
    student, teacher = pair
    data = models.labelled_images(64)
    distiller = Distiller(student, teacher)
    history = distiller.fit(*data, validation_data=data, verbose=0).history
    names = {"loss", "distillation", "accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names}
    found = distiller.evaluate(*data, verbose=0, return_dict=True)
    own = student.evaluate(*data, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(own["accuracy"])
    mixed = 0.1 * own["loss"] + 0.9 * found["distillation"]
    assert found["loss"] == pytest.approx(mixed, rel=1e-4)


@pytest.mark.eager
def test_alpha_one_is_plain_training(pair):
    student, teacher = pair
    data = models.labelled_images(64)
    twin = keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    twin.compile(keras.optimizers.Adam(0.02), student.loss)
    twin.fit(*data, shuffle=False, epochs=2, verbose=0)
    distiller = Distiller(student, teacher, alpha=1.0)
    distiller.fit(*data, shuffle=False, epochs=2, verbose=0)
    for ours, theirs in zip(student.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.eager
def test_regularization_is_added_in_full(pair):
    student, teacher = pair
    x, _ = models.labelled_images(8)
    plain = Distiller(student, teacher).evaluate(x, verbose=0, return_dict=True)
    student.layers[0].kernel_regularizer = keras.regularizers.L2(0.5)
    student.layers[0].kernel.regularizer = student.layers[0].kernel_regularizer
    found = Distiller(student, teacher).evaluate(x, verbose=0, return_dict=True)
    penalty = 0.5 * np.square(student.layers[0].kernel).sum()
    assert found["loss"] - plain["loss"] == pytest.approx(penalty, rel=1e-4)


@pytest.mark.eager
def test_the_student_stays_a_plain_model_and_goes_on(pair, tmp_path):
    student, teacher = pair
    x, y = models.labelled_images(64)
    optimizer = student.optimizer
    distiller = Distiller(student, teacher)
    distiller.fit(x, y, batch_size=32, verbose=0)
    assert int(optimizer.iterations) == 2
    assert {id(w) for w in distiller.weights} == {id(w) for w in student.weights}
    student.fit(x, y, batch_size=32, verbose=0)
    assert int(optimizer.iterations) == 4
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded(x), student(x), atol=1e-6)
    assert int(loaded.optimizer.iterations) == 4


def test_frozen_layers_stay(pair):
    student, teacher = pair
    student.layers[0].trainable = False
    student.compile("adam", student.loss)
    before = student.layers[0].get_weights()
    Distiller(student, teacher).fit(models.labelled_images(32)[0], verbose=0)
    np.testing.assert_array_equal(student.layers[0].get_weights()[0], before[0])


def test_without_a_compiled_student_compile_needs_no_loss(pair):
    _, teacher = pair
    student = models.classifier(compiled=False)
    distiller = Distiller(student, teacher, alpha=0.0)
    distiller.compile(keras.optimizers.Adam(0.02))
    x, y = models.labelled_images(256)
    before = distance(student, teacher, x)
    distiller.fit(x, y, epochs=10, verbose=0)  # the labels are not read
    assert distance(student, teacher, x) < before / 2


def test_weights_of_examples(pair):
    student, teacher = pair
    x, y = models.labelled_images(16)
    weight = np.repeat([2.0, 0.0], 8)
    distiller = Distiller(student, teacher)
    weighted = distiller.evaluate(x, y, sample_weight=weight, verbose=0)[0]
    alone = distiller.evaluate(x[:8], y[:8], verbose=0)[0]
    assert weighted == pytest.approx(alone, rel=1e-5)


def two_ends():
    inputs = keras.Input((5,))
    x = layers.Dense(8, activation="relu")(inputs)
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    outputs = {"kind": kind, "size": layers.Dense(1, name="size")(x)}
    return keras.Model(inputs, outputs)


@pytest.mark.slow
def test_several_outputs():
    student, teacher = two_ends(), two_ends()
    student.compile(
        keras.optimizers.Adam(0.02),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": "accuracy"},
    )
    x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    y = {"kind": np.arange(64) % 3, "size": np.ones((64, 1))}
    distiller = Distiller(student, teacher, temperature=1.0)
    history = distiller.fit(x, y, epochs=40, verbose=0).history
    assert "kind_accuracy" in history
    assert history["distillation"][-1] < history["distillation"][0] / 2
    found = distiller.evaluate(x, verbose=0, return_dict=True)["distillation"]
    ours, theirs = student(x), teacher(x)
    kind = keras.losses.KLDivergence()(theirs["kind"], ours["kind"])
    size = np.square(theirs["size"] - ours["size"]).mean()
    assert found == pytest.approx(float(kind) + 0.5 * size, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"temperature": 0}, "temperature=0"),
        ({"outputs": "probabilities"}, "'probabilities' for output"),
    ],
)
def test_wrong_arguments(pair, arguments, message):
    with pytest.raises(ValueError, match=message):
        Distiller(*pair, **arguments)


def test_a_teacher_of_other_classes(pair):
    student, _ = pair
    teacher = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(5)]
    )
    with pytest.raises(ValueError, match=r"same output shapes.*4.*5"):
        Distiller(student, teacher)
