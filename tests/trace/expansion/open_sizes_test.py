"""Tests of code that computes with sizes which the graph leaves open."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune import to_functional
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.expansion.marks import choose_marks, shrink
from keras_shapley_prune.trace.tracer import trace_channels


class Windows(layers.Layer):
    """Cuts an image into windows that are examples of their own, and back."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, "relu", name="dense")
        self.back = layers.Dense(8, name="back")

    def call(self, inputs):
        count, height, width, channels = ops.shape(inputs)
        x = ops.reshape(inputs, (count, height // 2, 2, width // 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (count * (height // 2) * (width // 2), 4, channels))
        x = self.back(self.dense(x - ops.mean(x, axis=1, keepdims=True)))
        x = ops.reshape(x, (count, height // 2, width // 2, 2, 2, 8))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (count, height, width, 8))
        return inputs + x


class WithoutSome(layers.Layer):
    """Reads windows: several examples of the batch are one image."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(8, name="dense")

    def call(self, inputs):
        count, length, channels = ops.shape(inputs)
        x = ops.reshape(inputs, (count // 4, 4, length, channels))
        return ops.reshape(self.dense(x + 1.0), (count, length, 8))


class WindowsOfImages(layers.Layer):
    """Windows, given to a layer that finds the images again."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = WithoutSome(name="inner")

    def call(self, inputs):
        count = ops.shape(inputs)[0]
        x = self.inner(ops.reshape(inputs, (count * 4, -1, 8)))
        return ops.reshape(x, ops.shape(inputs))


class ZerosAndCounts(layers.Layer):
    """Constants with a row for each example."""

    def call(self, inputs):
        count, height, _, channels = ops.shape(inputs)
        zeros = ops.zeros((count, height, 1, channels))
        numbers = ops.cast(ops.arange(count), "float32")
        x = ops.concatenate([zeros, inputs], axis=2)
        return x + 0 * ops.reshape(numbers, (-1, 1, 1, 1))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("layer_class", [Windows, WindowsOfImages, ZerosAndCounts])
def test_the_number_of_examples(layer_class, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 3, padding="same", name="before")(inputs)
    x = layer_class(name="odd")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="after")(x)))
    functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), keras.Model)
    assert set(trace_channels(functional).locks.values()) == {"model output"}
    for count in (1, 5):
        x = np.random.default_rng(0).normal(size=(count, 4, 4, 3)).astype("float32")
        np.testing.assert_allclose(functional(x), model(x), rtol=1e-4, atol=1e-5)
    models.check_masks(functional, tolerance=1e-4)
    check_saving(functional, x, tmp_path)


def check_saving(functional, x, folder):
    channel_map = trace_channels(functional)
    keep = models.random_keep(channel_map, 0.5, 0)
    smaller = remove_channels(functional, keep, channel_map)
    smaller.save(folder / "smaller.keras")
    loaded = keras.models.load_model(folder / "smaller.keras")
    np.testing.assert_allclose(loaded(x), smaller(x), rtol=1e-5, atol=1e-6)
    smaller.compile("sgd", "mse")
    smaller.fit(x, np.zeros_like(smaller(x)), verbose=0)


class Positions(layers.Layer):
    """A table of positions that is cut to the length of what is read."""

    def build(self, shape):
        self.table = self.add_weight(shape=(40, shape[-1]), name="table")

    def call(self, inputs):
        shape = ops.shape(inputs)
        table = ops.slice(self.table, (0, 0), (shape[1], shape[2]))
        return inputs + ops.broadcast_to(table, shape)


class Subscribed(Positions):
    """The same by a subscript, and an embedding of the positions."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(40, 8, name="embedding")

    def call(self, inputs):
        length = ops.shape(inputs)[1]
        return inputs + self.table[:length] + self.embedding(ops.arange(length))


class Causal(layers.Layer):
    """Attends to what came before."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, name="attention")

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, inputs):
        count, length, _ = ops.shape(inputs)
        rows, columns = ops.arange(length)[:, None], ops.arange(length)
        mask = ops.broadcast_to(rows >= columns, (count, length, length))
        return inputs + self.attention(inputs, inputs, attention_mask=mask)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("layer_class", [Positions, Subscribed, Causal])
def test_lengths_that_the_model_leaves_open(layer_class, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20, 8, name="tokens")(inputs)
    x = layers.LayerNormalization()(layer_class(name="odd")(x))
    x = layers.GlobalAveragePooling1D()(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="after")(x)))
    functional = to_functional(model)
    assert isinstance(functional.get_layer("odd"), keras.Model)
    assert set(trace_channels(functional).locks.values()) == {"model output"}
    for length in (3, 11):
        x = np.random.default_rng(0).integers(0, 20, (3, length))
        np.testing.assert_allclose(functional(x), model(x), rtol=1e-4, atol=1e-5)
    check_saving(functional, x, tmp_path)
    channel_map = trace_channels(functional)
    keep = models.random_keep(channel_map, 0.5, 1)
    smaller = remove_channels(functional, keep, channel_map)
    from_masks = models.mask_channels(functional, keep, channel_map)(x)
    np.testing.assert_allclose(smaller(x), from_masks, rtol=1e-4, atol=1e-5)


def test_a_size_that_nothing_can_take_the_place_of():
    class PerExample(layers.Layer):
        def call(self, inputs):
            count = ops.shape(inputs)[0]
            squares = ops.arange(count, dtype="float32") ** 2  # no progression
            return ops.roll(inputs, 1, axis=-1) + ops.reshape(squares, (-1, 1))

    inputs = keras.Input((3,))
    x = PerExample(name="odd")(layers.Dense(8, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.warns(UserWarning, match="'odd', has constants of a size"):
        to_functional(model)


def test_marks_divide_no_size_of_the_layer():
    dense = layers.Dense(2018)
    dense.build((None, 7))
    first, *_ = choose_marks(dense, (keras.Input((7,)),), {})
    (prime,) = first
    assert 2018 % prime and first[prime] == (0, 0, 1)
    assert shrink(3 * prime) == 6 and shrink(30) == 30
    assert not choose_marks(dense, (keras.Input(batch_shape=(4, 7)),), {})
