"""Tests of the first examples of a dataset."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shapley_prune.repair.sample import SAMPLE, first_examples, read_sample
from keras_shapley_prune.trace.recording import record_graph

X, Y = np.random.default_rng(0).normal(size=(100, 3)).astype("float32"), np.arange(100)


def graph_of(batch_size=None):
    inputs = keras.Input((3,), batch_size=batch_size)
    return record_graph(keras.Model(inputs, layers.Dense(2)(inputs)))


def test_a_sample_is_the_first_examples_with_their_labels():
    batched = tf.data.Dataset.from_tensor_slices((X, Y)).batch(40)
    for given in ((X, Y), batched, [(X, Y)], (X, Y, np.ones(100))):
        sample = read_sample(given, graph_of())
        inputs = np.concatenate([inputs for (inputs,) in sample.inputs])
        np.testing.assert_array_equal(inputs, X[:SAMPLE])
        np.testing.assert_array_equal(np.concatenate(sample.labels), Y[:SAMPLE])
        assert sample.num_examples == SAMPLE
        assert bool(sample.weights) == (isinstance(given, tuple) and len(given) == 3)


def test_without_labels_or_data():
    for given in (X, (X, None), [X, X]):
        assert read_sample(given, graph_of()).labels == []
    nothing = read_sample(None, graph_of())
    assert (nothing.inputs, nothing.num_examples) == ([], 0)


def test_batches_of_a_fixed_size_are_kept_whole():
    sample = read_sample([(X[:48], Y[:48])] * 3, graph_of(48))
    assert [len(inputs[0]) for inputs in sample.inputs] == [48, 48]
    assert [len(labels) for labels in sample.labels] == [48, 48]


def test_some_of_what_has_been_read():
    (found,) = first_examples([[X]], graph_of(), 24)
    np.testing.assert_array_equal(found[0], X[:24])


def test_it_tells_between_which_values_its_numbers_are():
    sample = read_sample(np.array([[0, 0.5, 255]], "float32"), graph_of())
    assert sample.describe_range() == "values from 0 to 255"
    assert read_sample(None, graph_of()).describe_range() == "no numbers"
