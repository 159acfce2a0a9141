"""Tests of what tells one run from another."""

import re

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shapley_prune.checkpoint.fingerprint import describe_run, find_differences


class WithoutConfig(layers.Layer):
    """A layer that Keras cannot describe: its argument is in no config."""

    def __init__(self, rate, **options):
        super().__init__(**options)
        self.rate = rate

    def call(self, inputs):
        return self.rate * inputs


def _model(units=3, own=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    x = layers.Dense(units, name="units")(inputs)
    x = WithoutConfig(np.array(2.0), name="own")(x) if own else x
    return keras.Model(inputs, layers.Dense(2, name="out")(x))


def _describe(model, x=0.0, **settings):
    return describe_run(model, [([tf.fill((5, 4), x)],)], **settings)


def test_what_differs_is_named():
    before = _describe(_model(), seed=0)
    assert not find_differences(before, _describe(_model(), seed=0))
    assert find_differences(before, _describe(_model(), 1.0, seed=0)) == [
        "inputs of the data"
    ]
    (difference,) = find_differences(before, _describe(_model(), seed=1))
    assert "seed" in difference and "was 0, is 1" in difference
    differences = find_differences(before, _describe(_model(4), seed=0))
    assert differences == ["layers of the model", "weights of the model"]


def test_layers_without_a_config_are_told_apart_by_name_and_class():
    before = _describe(_model(own=True))
    assert not find_differences(before, _describe(_model(own=True)))
    assert "layers of the model" in find_differences(before, _describe(_model()))


def test_a_weight_that_changes_is_another_model():
    model = _model()
    before = _describe(model)
    model.get_layer("units").kernel.assign(np.ones((4, 3)))
    assert find_differences(before, _describe(model)) == ["weights of the model"]


def test_what_selects_layers_is_told_apart():
    long = "a" * 300  # of which the end is not shown
    different = [
        {"a"},
        {"b"},
        ["a", "b"],
        re.compile("a"),
        re.compile("a", re.IGNORECASE),
        re.compile(f"{long}b"),
        re.compile(f"{long}c"),
        {re.compile(f"{long}b"): 0.5},
        {re.compile(f"{long}c"): 0.5},
    ]
    found = [_describe(_model(), layers=value) for value in different]
    for number, one in enumerate(found):
        same = [not find_differences(one, other) for other in found]
        assert same.index(True) == number and sum(same) == 1
    assert not find_differences(
        _describe(_model(), layers={"a", re.compile("b"), "c"}),
        _describe(_model(), layers={"c", "a", re.compile("b")}),
    )
