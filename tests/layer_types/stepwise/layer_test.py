"""Tests of an operation at every step of a sequence by itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.stepwise.layer import (
    Stepwise,
    at_steps,
    count_depth,
    innermost,
)


def _rows(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)


def _conv():
    layer = layers.Conv1D(4, 2, activation="relu")
    layer.build((None, 6, 3))
    return layer


def test_it_does_what_the_wrapper_does():
    layer, rows = _conv(), _rows(2, 5, 6, 3)
    expected = layers.TimeDistributed(layer)(rows)
    np.testing.assert_allclose(at_steps(layer)(rows), expected, atol=1e-6)


def test_lengths_that_are_not_known_when_it_is_compiled():
    layer, rows = _conv(), _rows(2, 5, 6, 3)
    run = tf.function(
        at_steps(layer), input_signature=[tf.TensorSpec((None,) * 3 + (3,))]
    )
    np.testing.assert_allclose(run(rows), at_steps(layer)(rows), atol=1e-6)


class Ranked(layers.Layer):
    """Looks at the other examples."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


@pytest.mark.parametrize(
    "layer", [Ranked(), layers.Lambda(lambda x: x - tf.reduce_mean(x, 0))]
)
def test_code_of_a_user_is_run_step_by_step(layer):
    rows = _rows(4, 3, 2)
    expected = rows - tf.reduce_mean(rows, axis=0)
    np.testing.assert_allclose(at_steps(layer)(rows), expected, atol=1e-6)
    compiled = tf.function(
        at_steps(layer), input_signature=[tf.TensorSpec((4, None, 2))]
    )
    np.testing.assert_allclose(compiled(rows), expected, atol=1e-6)


def test_there_is_one_for_each_operation():
    layer = _conv()
    twice = at_steps(layer, 2)
    assert at_steps(layer) is at_steps(layer) is twice.operation
    assert innermost(twice) is layer
    assert [count_depth(x) for x in (layer, twice)] == [0, 2]
    assert at_steps(layer, 0) is layer


def test_it_answers_for_its_operation():
    layer = _conv()
    stepwise = at_steps(layer)
    assert stepwise.kernel is layer.kernel and stepwise.filters == 4
    assert [w.name for w in stepwise.weights] == ["kernel", "bias"]
    stepwise.trainable = False
    assert not layer.trainable
    with pytest.raises(AttributeError, match="nothing"):
        stepwise.nothing  # noqa: B018


def test_it_is_saved(tmp_path):
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, Stepwise(_conv(), name="steps")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    rows = _rows(2, 5, 6, 3)
    np.testing.assert_allclose(loaded(rows), model(rows), atol=1e-6)


def test_masks_within_a_step_go_on():
    words = tf.constant([[[1, 2, 0], [3, 0, 0]]])
    layer = layers.Embedding(4, 2, mask_zero=True)
    embedded = at_steps(layer)(words)
    np.testing.assert_array_equal(embedded._keras_mask, words != 0)
    read = layers.LSTM(3)
    expected = layers.TimeDistributed(read)(embedded, mask=words != 0)
    np.testing.assert_allclose(at_steps(read)(embedded), expected, atol=1e-6)


def test_what_has_no_examples_is_refused():
    total = keras.Model(x := keras.Input((3,)), keras.ops.sum(x)).operations[-1]
    with pytest.raises(ValueError, match="axis of examples"):
        at_steps(total)(keras.Input((5, 3)))
