"""Tests of the loss that distillers take."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import OutputDistillation

DRAW = np.random.default_rng(0)
SIZES = DRAW.normal(size=(2, 6, 1)).astype("float32")
KINDS = DRAW.normal(size=(2, 6, 3)).astype("float32")


def two_ends(loss_weights=None):
    inputs = keras.Input((5,))
    outputs = [layers.Dense(1)(inputs), layers.Dense(3, "softmax")(inputs)]
    model = keras.Model(inputs, outputs)
    losses = ["mse", "sparse_categorical_crossentropy"]
    model.compile("sgd", losses, loss_weights=loss_weights)
    return model


def test_several_outputs_are_added_up():
    loss = OutputDistillation(["values", "logits"], temperature=2.0)
    values = OutputDistillation("values").compute_loss(*SIZES)
    logits = OutputDistillation("logits", 2.0).compute_loss(*KINDS)
    found = loss.compute_loss([SIZES[0], KINDS[0]], [SIZES[1], KINDS[1]])
    assert float(found) == pytest.approx(float(values + logits), rel=1e-5)


def test_the_student_says_what_its_outputs_are():
    model = two_ends(loss_weights=[2.0, 0.5])
    loss, of_two = OutputDistillation(), OutputDistillation(["values", "softmax"])
    probabilities = np.exp(KINDS) / np.exp(KINDS).sum(-1, keepdims=True)
    pair = [[sizes, p] for sizes, p in zip(SIZES, probabilities, strict=True)]
    values = OutputDistillation("values").compute_loss(*SIZES)
    kinds = OutputDistillation("softmax").compute_loss(*probabilities)
    assert float(of_two.compute_loss(*pair)) == pytest.approx(float(values + kinds))
    loss.validate_model_compatibility(model, model)
    expected = float(2.0 * values + 0.5 * kinds)
    assert float(loss.compute_loss(*pair)) == pytest.approx(expected, rel=1e-5)


def test_belongs_to_one_kind_of_student():
    loss = OutputDistillation()
    loss.validate_model_compatibility(two_ends(), two_ends())
    loss.validate_model_compatibility(two_ends(), two_ends())  # the same outputs
    other = keras.Sequential([keras.Input((5,)), layers.Dense(2, "sigmoid")])
    with pytest.raises(ValueError, match="its own for each student"):
        loss.validate_model_compatibility(other, other)


def test_without_a_student_the_outputs_have_to_be_said():
    with pytest.raises(ValueError, match="outputs=None"):
        OutputDistillation().compute_loss(*KINDS)


@pytest.mark.parametrize("outputs", ["logits", ["values", "softmax"], None])
def test_made_again_from_its_config(outputs):
    loss = OutputDistillation(outputs, temperature=2.0)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is OutputDistillation
    assert (again.outputs, again.temperature) == (outputs, 2.0)


def test_weights_of_examples():
    weight = np.repeat([2.0, 0.0], 3)
    loss = OutputDistillation("logits")
    weighted = loss.compute_loss(*KINDS, sample_weight=weight)
    alone = loss.compute_loss(*KINDS[:, :3])
    assert float(weighted) == pytest.approx(float(alone), rel=1e-5)


@pytest.mark.parametrize("outputs", ["probabilities", 3, ["softmax", "typo"]])
def test_wrong_outputs(outputs):
    with pytest.raises(ValueError, match="Argument `outputs` should be one of"):
        OutputDistillation(outputs)
