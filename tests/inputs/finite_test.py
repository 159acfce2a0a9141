"""Tests of finding numbers that are not finite."""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.inputs.finite import check_finite_inputs, find_not_finite


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([[1.0, 2.0], [3.0, np.inf]]), ((1, 1), np.inf)),
        (np.array([-np.inf, np.nan], "float16"), ((0,), -np.inf)),
        (np.array([0.0, np.inf], ml_dtypes.bfloat16), ((1,), np.inf)),
        (np.array(np.inf), ((), np.inf)),
        (np.ones(3), None),
        (np.zeros((0, 3)), None),
        (np.array([1, 2]), None),
        (np.array(["a"]), None),
    ],
)
def test_the_first_one_is_found(values, found):
    assert find_not_finite(values) == found


def test_data_is_named_by_input_and_example():
    symbolic = [keras.Input((2,), name="image"), keras.Input((), name="scale")]
    good, bad = tf.ones((3, 2)), tf.constant([[1.0, 1.0], [np.nan, 1.0]])
    check_finite_inputs(symbolic, [[good, tf.ones(3)]])
    message = "nan for input 'image', in example 4 .*, as float32"
    with pytest.raises(ValueError, match=message):
        check_finite_inputs(symbolic, [[good, tf.ones(3)], [bad, tf.ones(2)]])
    with pytest.raises(ValueError, match="inf for input 'scale', in example 1 "):
        check_finite_inputs(symbolic, [[good, tf.constant([1.0, np.inf, 1.0])]])
