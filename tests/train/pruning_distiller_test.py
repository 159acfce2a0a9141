"""Tests of training a pruned network towards the original."""

import inspect

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune import (
    OutputDistillation,
    PruningDistiller,
    apply_plan,
    plan_pruning,
)
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
    """A trained network, and a smaller one that is not repaired."""
    model = models.classifier()
    model.set_weights(trained_weights)
    x, _ = models.labelled_images(256)
    ranking = BaselineRanker("l1_norm").rank(model, x[:16], verbose=0)
    plan = plan_pruning(model, ranking, 0.5)
    pruned = apply_plan(model, plan, repair=None, verify=False)
    pruned.optimizer.learning_rate = 0.02
    return model, pruned


def distance(student, teacher, x):
    return float(np.abs(student(x) - teacher(x)).mean())


def snapshot(model):
    return [weight.copy() for weight in model.get_weights()]


def test_labels_are_not_needed(pair):
    teacher, student = pair
    x, _ = models.labelled_images(256)
    before, weights = distance(student, teacher, x), snapshot(teacher)
    history = PruningDistiller(teacher, student).fit(x, epochs=30, verbose=0).history
    assert set(history) == {"loss", "distillation_loss", "total_loss"}
    assert history["loss"][-1] < history["loss"][0] / 2
    assert distance(student, teacher, x) < before / 2
    for now, then in zip(teacher.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.eager
def test_the_metrics_of_the_student_are_reported(pair):
    teacher, student = pair
    data = models.labelled_images(64)
    distiller = PruningDistiller(teacher, student)
    history = distiller.fit(*data, validation_data=data, verbose=0).history
    names = {"loss", "student_loss", "distillation_loss", "total_loss", "accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names}
    found = distiller.evaluate(*data, verbose=0, return_dict=True)
    own = student.evaluate(*data, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(own["accuracy"])
    mixed = 0.1 * own["loss"] + 0.9 * found["distillation_loss"]
    assert found["loss"] == pytest.approx(mixed, rel=1e-4)


@pytest.mark.eager
def test_student_loss_weight_one_is_plain_training(pair):
    teacher, student = pair
    data = models.labelled_images(64)
    twin = keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    twin.compile(keras.optimizers.Adam(0.02), student.loss)
    twin.fit(*data, shuffle=False, epochs=2, verbose=0)
    distiller = PruningDistiller(teacher, student, student_loss_weight=1.0)
    distiller.fit(*data, shuffle=False, epochs=2, verbose=0)
    for ours, theirs in zip(student.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.eager
def test_regularization_is_added_in_full(pair):
    teacher, student = pair
    x, _ = models.labelled_images(8)
    plain = PruningDistiller(teacher, student).evaluate(x, verbose=0, return_dict=True)
    student.layers[0].kernel_regularizer = keras.regularizers.L2(0.5)
    student.layers[0].kernel.regularizer = student.layers[0].kernel_regularizer
    found = PruningDistiller(teacher, student).evaluate(x, verbose=0, return_dict=True)
    penalty = 0.5 * np.square(student.layers[0].kernel).sum()
    assert found["loss"] - plain["loss"] == pytest.approx(penalty, rel=1e-4)


@pytest.mark.eager
def test_the_student_stays_a_plain_model_and_goes_on(pair, tmp_path):
    teacher, student = pair
    x, y = models.labelled_images(64)
    optimizer = student.optimizer
    distiller = PruningDistiller(teacher, student)
    distiller.fit(x, y, batch_size=32, verbose=0)
    assert int(optimizer.iterations) == 2
    assert {id(w) for w in distiller.trainable_weights} == {
        id(w) for w in student.trainable_weights
    }
    student.fit(x, y, batch_size=32, verbose=0)
    assert int(optimizer.iterations) == 4
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded(x), student(x), atol=1e-6)
    assert int(loaded.optimizer.iterations) == 4


def test_frozen_layers_stay(pair):
    teacher, student = pair
    student.layers[0].trainable = False
    student.compile("adam", student.loss)
    before = student.layers[0].get_weights()
    PruningDistiller(teacher, student).fit(models.labelled_images(32)[0], verbose=0)
    np.testing.assert_array_equal(student.layers[0].get_weights()[0], before[0])


def test_without_a_compiled_student_compile_needs_no_loss(pair):
    teacher, _ = pair
    student = models.classifier(compiled=False)
    distiller = PruningDistiller(teacher, student, student_loss_weight=0.0)
    distiller.compile(keras.optimizers.Adam(0.02))
    x, y = models.labelled_images(256)
    before = distance(student, teacher, x)
    distiller.fit(x, y, epochs=10, verbose=0)  # the labels are not read
    assert distance(student, teacher, x) < before / 2


def test_weights_of_examples(pair):
    teacher, student = pair
    x, y = models.labelled_images(16)
    weight = np.repeat([2.0, 0.0], 8)
    distiller = PruningDistiller(teacher, student)
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
    distiller = PruningDistiller(teacher, student, OutputDistillation(temperature=1.0))
    history = distiller.fit(x, y, epochs=40, verbose=0).history
    assert "kind_accuracy" in history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0] / 2
    found = distiller.evaluate(x, verbose=0, return_dict=True)["distillation_loss"]
    ours, theirs = student(x), teacher(x)
    kind = keras.losses.KLDivergence()(theirs["kind"], ours["kind"])
    size = np.square(theirs["size"] - ours["size"]).mean()
    assert found == pytest.approx(float(kind) + 0.5 * size, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"student_loss_weight": 1.5}, "student_loss_weight=1.5"),
        ({"distillation_losses": "mse"}, "distillation_losses='mse'"),
        ({"distillation_losses": []}, r"distillation_losses=\[\]"),
        ({"distillation_loss_weights": [1.0, 2.0]}, "each of the 1 distillation"),
        ({"distillation_loss_weights": [-1.0]}, "distillation_loss_weights=-1.0"),
        ({"name": "a/b"}, "name='a/b'"),
        ({"run_eagerly": True}, "run_eagerly=True"),
    ],
)
def test_wrong_arguments(pair, arguments, message):
    with pytest.raises(ValueError, match=message):
        PruningDistiller(*pair, **arguments)


def test_a_teacher_of_other_classes(pair):
    _, student = pair
    teacher = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(5)]
    )
    with pytest.raises(ValueError, match=r"same output shapes.*5.*4"):
        PruningDistiller(teacher, student)


def test_a_pair_in_the_wrong_order_is_told(pair, recwarn):
    teacher, student = pair
    PruningDistiller(teacher, student)
    PruningDistiller(teacher, models.classifier())  # as large
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"in its place.* fewer than the") as told:
        PruningDistiller(student, teacher)
    assert told[0].filename == __file__


def test_arguments_are_those_of_keras():
    ours, theirs = (
        list(inspect.signature(distiller).parameters)
        for distiller in (PruningDistiller, keras.distillation.Distiller)
    )
    assert ours == theirs
    assert issubclass(PruningDistiller, keras.distillation.Distiller)


def evaluate(distiller, *data, **settings):
    return distiller.evaluate(*data, verbose=0, return_dict=True, **settings)


@pytest.mark.eager
@pytest.mark.parametrize(
    "losses",
    [
        OutputDistillation("softmax", temperature=2.0),
        [
            keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence()),
            keras.distillation.FeatureDistillation("mae", "wide", "wide"),
        ],
    ],
    ids=["ours", "theirs"],
)
def test_the_loss_is_that_of_keras(losses):
    """Of Keras's distiller with the weight 0 of labels, which it cannot do without."""
    x, y = models.labelled_images(32)
    teacher, student = (small_network(seed) for seed in (0, 1))
    ours = PruningDistiller(teacher, student, losses, student_loss_weight=0.0)
    found = evaluate(ours, x)
    theirs = keras.distillation.Distiller(
        teacher, student, losses, student_loss_weight=0.0
    )
    theirs.compile("sgd", "sparse_categorical_crossentropy")
    expected = evaluate(theirs, x, y)
    for name in ("loss", "distillation_loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    assert found["loss"] > 0


def small_network(seed):
    """Has a feature of the same size whatever its seed."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Flatten(),
            layers.Dense(8, name="wide"),
            layers.BatchNormalization(momentum=0.5, name="moments"),
            layers.Dense(3, activation="relu", name="few"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    return model


@pytest.mark.eager
def test_features_come_nearer():
    teacher, student = (small_network(seed) for seed in (0, 1))
    loss = keras.distillation.FeatureDistillation("mse", "few", "few")
    x, _ = models.labelled_images(32)
    distiller = PruningDistiller(teacher, student, loss)
    losses = distiller.fit(x, epochs=6, verbose=0).history["distillation_loss"]
    assert losses[-1] < losses[0] / 2


def test_features_need_one_run_of_the_student():
    """A second one, as of Keras's distiller, would move the averages twice."""
    teacher, student = (small_network(seed) for seed in (0, 1))
    twin = keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    x, _ = models.labelled_images(32)
    twin(x, training=True)
    loss = keras.distillation.FeatureDistillation("mse", "wide", "wide")
    distiller = PruningDistiller(teacher, student, loss)
    distiller.compile(keras.optimizers.SGD(0.0))
    distiller.fit(x, batch_size=32, shuffle=False, verbose=0)
    distiller.evaluate(x, verbose=0)
    ours, theirs = (model.get_layer("moments") for model in (student, twin))
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-6)


@pytest.mark.eager
def test_losses_are_weighted():
    teacher, student = (small_network(seed) for seed in (0, 1))
    losses = [
        OutputDistillation(),
        keras.distillation.FeatureDistillation("mse", "few", "few"),
    ]
    x, _ = models.labelled_images(16)
    parts = [
        evaluate(PruningDistiller(teacher, student, loss), x)["loss"] for loss in losses
    ]
    both = PruningDistiller(teacher, student, losses, [2.0, 0.5])
    expected = 2.0 * parts[0] + 0.5 * parts[1]
    assert evaluate(both, x)["loss"] == pytest.approx(expected, rel=1e-5)


class OwnLoss(keras.distillation.DistillationLoss):
    """Of the user's own."""

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        return keras.ops.mean(keras.ops.square(teacher_outputs - student_outputs))


@pytest.mark.parametrize(
    "loss",
    [
        OwnLoss(),
        OutputDistillation(),
        keras.distillation.LogitsDistillation(),
        keras.distillation.FeatureDistillation("mse", "few", "few"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_weights_of_examples_count_in_every_loss(loss):
    teacher, student = (small_network(seed) for seed in (0, 1))
    x, _ = models.labelled_images(16)
    weight = np.repeat([2.0, 0.0], 8)
    distiller = PruningDistiller(teacher, student, loss)
    # Without labels Keras takes weights from a data set only.
    data = tf.data.Dataset.from_tensors((x, np.zeros(16), weight))
    distiller.student_loss_weight = 0.0
    weighted = evaluate(distiller, data)["distillation_loss"]
    alone = evaluate(distiller, x[:8])["distillation_loss"]
    assert weighted == pytest.approx(alone, rel=1e-5)


def test_a_loss_of_each_example_is_refused():
    class Unreduced(OwnLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return keras.ops.mean(teacher_outputs - student_outputs, axis=-1)

    teacher, student = (small_network(seed) for seed in (0, 1))
    distiller = PruningDistiller(teacher, student, Unreduced())
    with pytest.raises(ValueError, match="returns a scalar"):
        distiller.compute_loss(models.labelled_images(4)[0])


@pytest.mark.eager
@pytest.mark.parametrize("frozen", [None, "few", "all"])
def test_the_teacher_keeps_its_flags(frozen):
    teacher, student = (small_network(seed) for seed in (0, 1))
    if frozen:
        part = teacher if frozen == "all" else teacher.get_layer(frozen)
        part.trainable = False
    teacher.get_layer("wide").bias.trainable = False  # of a single weight, too
    owners = [teacher, *teacher.layers, *teacher.weights]
    flags = [owner.trainable for owner in owners]
    weights = snapshot(teacher)
    distiller = PruningDistiller(teacher, student)
    distiller.fit(models.labelled_images(16)[0], verbose=0)
    assert [owner.trainable for owner in owners] == flags
    trained = {weight.path for weight in distiller.trainable_weights}
    others = {weight.path for weight in distiller.non_trainable_weights}
    assert trained == {weight.path for weight in student.trainable_weights}
    assert others >= {weight.path for weight in teacher.weights} - trained
    assert len(distiller.weights) == len(teacher.weights) + len(student.weights)
    for now, then in zip(teacher.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.eager
def test_penalties_of_the_teacher_do_not_count():
    teacher, student = (small_network(seed) for seed in (0, 1))
    x, _ = models.labelled_images(16)
    plain = evaluate(PruningDistiller(teacher, student), x)["loss"]
    teacher.get_layer("few").activity_regularizer = keras.regularizers.L2(1.0)
    teacher.get_layer("few").kernel.regularizer = keras.regularizers.L2(1.0)
    found = evaluate(PruningDistiller(teacher, student), x)["loss"]
    assert found == pytest.approx(plain, rel=1e-5)


def test_labels_without_a_loss_are_an_error():
    teacher, student = (models.classifier(compiled=False) for _ in range(2))
    distiller = PruningDistiller(teacher, student)
    distiller.compile("sgd")
    with pytest.raises(ValueError, match=r"student_loss_weight=0\.1"):
        distiller.compute_loss(*models.labelled_images(8))


@pytest.mark.eager
def test_saved_and_loaded(tmp_path):
    teacher, student = (small_network(seed) for seed in (0, 1))
    losses = [
        OutputDistillation("softmax", temperature=2.0),
        keras.distillation.FeatureDistillation("mse", "few", "few"),
    ]
    distiller = PruningDistiller(teacher, student, losses, [1.0, 0.5], 0.3)
    data = models.labelled_images(16)
    distiller.fit(*data, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert type(loaded) is PruningDistiller
    assert evaluate(loaded, *data) == pytest.approx(evaluate(distiller, *data))
    assert int(loaded.optimizer.iterations) == 1
