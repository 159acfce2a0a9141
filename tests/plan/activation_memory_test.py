"""Tests of counting the activations that are alive at once."""

import keras
import models
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.activation_memory import count_activation_bytes
from keras_shapley_prune.trace.tracer import trace_channels

FLOAT = 4


def test_a_chain_holds_two_tensors_at_once():
    inputs = keras.Input((10,))
    x = layers.Dense(100)(inputs)
    x = layers.Dense(50)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert count_activation_bytes(model) == FLOAT * (100 + 50)


def test_what_is_read_later_stays_alive():
    inputs = keras.Input((10,))
    early = layers.Dense(30)(inputs)
    x = layers.Dense(100)(early)
    x = layers.Dense(30)(x)
    model = keras.Model(inputs, layers.Add()([x, early]))
    assert count_activation_bytes(model) == FLOAT * (30 + 100 + 30)


def test_an_output_stays_alive_and_the_input_does_not():
    inputs = keras.Input((7,))
    first = layers.Dense(11)(inputs)
    x = layers.Dense(50)(first)
    model = keras.Model(inputs, [first, layers.Dense(40)(x)])
    assert count_activation_bytes(model) == FLOAT * (11 + 50 + 40)


def test_the_type_counts():
    inputs = keras.Input((10,), dtype="float16")
    model = keras.Model(inputs, layers.Dense(20, dtype="float16")(inputs))
    assert count_activation_bytes(model) == 2 * (10 + 20)


def test_unknown_size():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    assert count_activation_bytes(keras.Model(inputs, x)) is None


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_pruning_never_adds(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    pruned = remove_channels(model, keep, channel_map)
    largest = max(
        FLOAT * keras.ops.size(keras.ops.zeros(tensor.shape[1:]))
        for call in channel_map.graph.calls
        for tensor in call.outputs
    )
    assert largest <= count_activation_bytes(model)
    assert 0 < count_activation_bytes(pruned) <= count_activation_bytes(model)


def test_a_size_that_is_given():
    def build(size):
        inputs = keras.Input((size, size, 3))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
        return keras.Model(inputs, x)

    expected = count_activation_bytes(build(9))
    assert count_activation_bytes(build(None), (9, 9, 3)) == expected
