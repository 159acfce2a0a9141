"""Tests of the copy in float32 of a model in half precision."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.deploy.float32_copy import copy_in_float32, find_halves


@pytest.fixture(autouse=True)
def _policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def _mixture(policy, dtype="float32"):
    """A model with a nested one, a cast, a wrapper, and a function of its own."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    inner = keras.Input((6, 4))
    lstm = layers.LSTM(3, recurrent_initializer="glorot_uniform")  # has no bfloat16
    nested = keras.Model(inner, layers.Bidirectional(lstm)(inner))
    inputs = keras.Input((6, 4), dtype=dtype, name="steps")
    x = layers.BatchNormalization()(layers.Conv1D(4, 3, padding="same")(inputs))
    x = keras.ops.cast(x, keras.config.dtype_policy().compute_dtype)
    x = layers.Lambda(lambda tensor: tensor * 2)(x)
    outputs = layers.Dense(3, activation="softmax")(nested(x))
    return keras.Model(inputs, outputs)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("policy", "half", "tolerance"),
    [
        ("mixed_float16", "float16", 5e-3),
        ("mixed_bfloat16", "bfloat16", 5e-2),
        ("float16", "float16", 5e-3),
        ("bfloat16", "bfloat16", 5e-2),
    ],
)
def test_it_computes_the_same_in_float32(policy, half, tolerance):
    model = _mixture(policy)
    assert find_halves(model) == [half]
    copied = copy_in_float32(model)
    assert find_halves(copied) == []
    assert [w.dtype for w in copied.weights] == ["float32"] * len(model.weights)
    assert find_halves(model) == [half]  # not changed
    x = np.random.default_rng(0).normal(size=(4, 6, 4)).astype("float32")
    outputs = keras.ops.cast(model(x), "float32")
    assert np.abs(copied(x) - outputs).max() < tolerance


def test_inputs_are_float32_too_and_have_their_names():
    copied = copy_in_float32(_mixture("float16", dtype="float16"))
    assert [(x.name, x.dtype) for x in copied.inputs] == [("steps", "float32")]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.two_ends, models.nested])
def test_what_is_float32_has_no_halves(builder):
    model = models.build(builder)
    assert find_halves(model) == []
    inputs = models.inputs_of(model, 2)
    found = models.outputs_of(copy_in_float32(model), inputs)
    assert models.relative_difference(found, models.outputs_of(model, inputs)) == 0
