"""Tests of a model's outputs together with those of layers within."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.train.layer_outputs import LayerOutputs

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def called_before():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2)]
    )
    model(keras.Input((4,)))
    return model


def of_dicts():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    first = layers.Dense(3, name="first")(inputs["a"])
    outputs = {"x": layers.Dense(2)(first), "y": layers.Dense(2)(inputs["b"])}
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("build", [called_before, of_dicts])
def test_outputs_are_those_of_the_model(build):
    model = build()
    inputs = {"a": X, "b": 2 * X} if build is of_dicts else X
    runner = LayerOutputs(model, ["first", None, "first"])
    outputs = runner.run_and_keep(inputs, training=False)
    keras.tree.assert_same_structure(outputs, model(inputs))
    for ours, theirs in zip(
        keras.tree.flatten(outputs), keras.tree.flatten(model(inputs)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    features = runner.features_of(outputs, None, training=False)  # kept, not run
    assert set(features) == {"first"}
    np.testing.assert_allclose(features["first"], model.get_layer("first")(X))


def test_other_outputs_need_another_run():
    model = called_before()
    runner = LayerOutputs(model, ["first"])
    features = runner.features_of(model(X), X, training=False)
    np.testing.assert_allclose(features["first"], model.get_layer("first")(X))
