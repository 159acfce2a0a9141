"""Calibration data in every form that is taken, and in forms that are not."""

import keras
import numpy as np
import tensorflow as tf

NUM_EXAMPLES, BATCH_SIZE = 10, 4  # the last batch is short


class Batches(keras.utils.PyDataset):
    """Arrays in slices; `__len__` as Keras documents it."""

    def __init__(self, arrays, **options):
        super().__init__(**options)
        self.arrays = arrays

    def __len__(self):
        return -(-NUM_EXAMPLES // BATCH_SIZE)

    def __getitem__(self, index):
        part = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return keras.tree.map_structure(lambda a: a[part], self.arrays)


class CountedBatches(Batches):
    """The same, its length given as the property `num_batches`."""

    @property
    def num_batches(self):
        return -(-NUM_EXAMPLES // BATCH_SIZE)


class EndlessBatches(Batches):
    """A `PyDataset` without an end."""

    @property
    def num_batches(self):
        return None


def _generator(arrays):
    yield from (Batches(arrays)[i] for i in range(3))


FORMS = {
    "arrays": lambda arrays: arrays,
    "tensors": lambda arrays: keras.tree.map_structure(tf.constant, arrays),
    "tf.data": lambda a: tf.data.Dataset.from_tensor_slices(a).batch(BATCH_SIZE),
    "tf.data of unknown length": lambda a: (
        tf.data.Dataset.from_tensor_slices(a).batch(BATCH_SIZE).filter(lambda *_: True)
    ),
    "PyDataset": Batches,
    "PyDataset with num_batches": CountedBatches,
    "generator": _generator,
    "list of batches": lambda arrays: list(_generator(arrays)),
}


class Exploding:
    """Stands for data that must not be read."""

    def __iter__(self):
        raise AssertionError("the data was read")


def make_arrays(weighted=False):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(NUM_EXAMPLES, 6, 6, 1)).astype("float32")
    y = generator.integers(0, 4, NUM_EXAMPLES)
    weight = generator.uniform(size=NUM_EXAMPLES).astype("float32")
    return (x, y, weight) if weighted else (x, y)


X, Y = make_arrays()


BAD_DATA = {
    "infinite tf.data": (
        lambda: FORMS["tf.data"]((X, Y)).repeat(),
        "should be finite.*Received: an infinite tf.data.Dataset",
    ),
    "infinite PyDataset": (
        lambda: EndlessBatches((X, Y)),
        "should be finite.*Received: an infinite keras.utils.PyDataset",
    ),
    "empty tf.data": (
        lambda: FORMS["tf.data"]((X, Y)).take(0),
        "at least one example.*Received: an empty dataset",
    ),
    "empty arrays": (lambda: (X[:0], Y[:0]), "at least one.*an empty dataset"),
    "empty list": (list, "at least one example.*an empty dataset"),
    "empty generator": (lambda: iter(()), "at least one example.*an empty dataset"),
    "unbatched": (
        lambda: tf.data.Dataset.from_tensor_slices((X, Y)),
        r"'image'.*\(None, 6, 6, 1\).*\(6, 6, 1\), a single example: batch the",
    ),
    "wrong shape": (
        lambda: (np.zeros((4, 5, 6, 1)), np.zeros(4)),
        r"input 'image'.*shape \(None, 6, 6, 1\).*shape \(4, 5, 6, 1\)",
    ),
    "wrong rank": (
        lambda: (np.zeros((4, 36)), np.zeros(4)),
        r"shape \(None, 6, 6, 1\).*shape \(4, 36\)",
    ),
    "no labels in tf.data": (
        lambda: tf.data.Dataset.from_tensor_slices(X).batch(4),
        "should hold labels.*batches of inputs only",
    ),
    "no labels in an array": (lambda: X, "should hold labels"),
    "labels of other length": (
        lambda: (X, Y[:-1]),
        r"same number of examples.*\[10, 9\]",
    ),
    "weights of other length": (
        lambda: (X, Y, Y[:3]),
        r"same number of examples.*\[10, 10, 3\]",
    ),
    "labels of other length in a batch": (
        lambda: [(X[:4], Y[:3])],
        r"a `y` for each example.*4 inputs and \[3\] entries of `y`",
    ),
    "weights of other length in a batch": (
        lambda: [(X[:4], Y[:4], Y[:2])],
        r"a `sample_weight` for each.*4 inputs and \[2\] entries",
    ),
    "too many inputs": (lambda: ((X, X), Y), r"1 input\(s\) a batch. Received: 2"),
    "unknown inputs": (
        lambda: ({"picture": X}, Y),
        r"the inputs \['image'\].*\['picture'\]",
    ),
    "a number": (lambda: 3, "should be a `tf.data.Dataset`.*<class 'int'>"),
    "nothing": (lambda: None, "should be a `tf.data.Dataset`.*NoneType"),
}
