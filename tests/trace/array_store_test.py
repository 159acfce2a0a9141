"""Tests of arrays in memory and in a file."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.trace.array_store import ArrayStore


@pytest.mark.parametrize("memory, held", [(1, 0), (250, 200), (10**6, 824)])
def test_arrays_come_back_wherever_they_were(memory, held):
    generator, store = np.random.default_rng(0), ArrayStore(memory)
    shapes = [(5, 10), (2, 3, 4), (33,), (7, 7)]
    arrays = [generator.normal(size=shape).astype("float32") for shape in shapes]
    arrays[0] = arrays[0].T  # in another order
    back = [store.put(array) for array in arrays[:2]]
    back += [store.put(tf.constant(array)) for array in arrays[2:]]
    for _ in range(2):
        for get, array in zip(back, arrays, strict=True):
            np.testing.assert_array_equal(get(), array)
    sizes = np.array([4 * array.size for array in arrays])
    assert store.num_bytes <= memory
    assert store.num_bytes == (sizes.sum() if memory > 1000 else held)


def test_an_array_of_nothing():
    assert ArrayStore(1).put(np.zeros((3, 0)))().shape == (3, 0)
