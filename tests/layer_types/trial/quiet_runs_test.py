"""Tests of runs that change nothing."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.trial.quiet_runs import (
    NotElementwiseError,
    QuietRun,
    no_side_effects,
)

ONES = np.ones((2, 3), "float32")


def test_a_variable_has_another_value_for_a_run():
    factor = keras.Variable(2.0)
    run = QuietRun(lambda x: x * factor, "float32", [(factor, 5.0)])
    np.testing.assert_array_equal(run(ONES), 5 * ONES)
    assert float(factor) == 2


@pytest.mark.parametrize("strict", [True, False])
def test_a_variable_that_is_assigned_is_not_changed(strict):
    count = keras.Variable(2.0)

    def function(x):
        count.assign_add(1.0)
        return x * count

    run = QuietRun(function, "float32", strict=strict)
    if strict:
        with pytest.raises(NotElementwiseError, match="or changes a variable"):
            run(ONES)
    else:
        np.testing.assert_array_equal(run(ONES), 3 * ONES)
    assert float(count) == 2


def test_inputs_have_the_type_of_the_model():
    seen = []
    run = QuietRun(lambda x: seen.append(x.dtype) or x, "bfloat16")
    assert run(ONES).dtype == "float64"
    assert seen == [tf.bfloat16]


def test_what_is_counted_is_put_back():
    class Holding(layers.Layer):
        def __init__(self):
            super().__init__()
            self.times, self.state = 0, tf.Variable(1.0)

    layer, name = Holding(), layers.Dense(1).name
    states = random.getstate(), np.random.get_state()[1].tolist()
    with no_side_effects(layer):
        layer.times += 1
        layer.more = "new"
        layer.state.assign(7.0)
        random.random()
        np.random.random()
        layers.Dense(1)
        assert tf.config.functions_run_eagerly()
    assert (layer.times, float(layer.state)) == (0, 1.0)
    assert not hasattr(layer, "more")
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    following = int(name.rpartition("_")[2] or 0) + 1 if "_" in name else 1
    assert layers.Dense(1).name == f"dense_{following}"
    assert not tf.config.functions_run_eagerly()
