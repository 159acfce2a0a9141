"""Whole networks of each family of layers, pruned with the defaults."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


def text():
    """Numbers of words, embedded, and causal convolutions along them."""
    inputs = keras.Input((20,), dtype="int32", name="words")
    x = layers.Embedding(30, 8, name="embedding")(inputs)
    x = layers.SpatialDropout1D(0.2)(x)
    x = layers.Conv1D(12, 3, padding="causal", activation="relu", name="conv1")(x)
    x = layers.Conv1D(12, 3, strides=2, activation="relu", name="conv2")(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="text")


def bag_of_words():
    """Words of number 0 are masked: a mean of the others."""
    inputs = keras.Input((20,), dtype="int32", name="words")
    x = layers.Embedding(30, 8, mask_zero=True, name="embedding")(inputs)
    x = layers.Dense(12, activation="relu", name="each")(x)
    x = layers.GlobalAveragePooling1D()(layers.Dropout(0.1)(x))
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="bag_of_words")


def volume():
    """Convolutions in three dimensions, one of them transposed."""
    inputs = keras.Input((8, 8, 8, 2), name="volume")
    x = layers.Conv3D(8, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling3D()(x)
    x = layers.Conv3DTranspose(6, 2, strides=2, activation="relu", name="up")(x)
    x = layers.Conv3D(8, 3, use_bias=False, name="conv2")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Flatten()(layers.AveragePooling3D(3)(x))
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="volume")


def grouped(groups):
    """Residual blocks with convolutions in groups in the middle."""
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    for block in ("first", "second"):
        y = layers.Conv2D(16, 1, use_bias=False, name=f"{block}_in")(layers.ReLU()(x))
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(
            16, 3, padding="same", groups=groups, name=f"{block}_grouped"
        )(y)
        y = layers.Conv2D(16, 1, name=f"{block}_out")(layers.ReLU()(y))
        x = x + layers.BatchNormalization()(y)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="grouped")


def many_groups():
    """As ResNeXt: whole groups leave."""
    return grouped(8)


def few_groups():
    """Each group loses as many channels."""
    return grouped(2)


def einsums():
    """Dense layers by equation, one of them over two axes."""
    inputs = keras.Input((6, 5), name="features")
    x = layers.EinsumDense(
        "abc,cd->abd", (6, 12), bias_axes="d", activation="relu", name="first"
    )(inputs)
    x = layers.EinsumDense("...x,xy->...y", 10, activation="relu", name="second")(x)
    x = layers.EinsumDense(
        "abc,bcd->ad", 8, bias_axes="d", activation="relu", name="third"
    )(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="einsums")


def split_channels():
    """Half of the channels goes on, the other half is passed by."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="stem")(inputs)
    kept, changed = keras.ops.split(x, [4], axis=-1)
    changed = layers.Conv2D(6, 3, padding="same", name="branch")(changed)
    x = keras.ops.concatenate([kept, changed, x[..., 2:9]], axis=-1)
    x = layers.Conv2D(8, 1, activation="relu", name="mixed")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x), name="split")


FAMILIES = {
    text: {"embedding": 8, "conv1": 12, "conv2": 12, "hidden": 8},
    bag_of_words: {"embedding": 8, "each": 12, "hidden": 8},
    volume: {"conv1": 8, "up": 6, "conv2": 8},
    many_groups: {"stem": 16, "first_in": 8, "second_in": 8},
    few_groups: {"stem": 16}
    | {
        f"{block}_{end}": 8
        for block in ("first", "second")
        for end in ("in", "grouped")
    },
    einsums: {"first": 12, "second": 10, "third": 8},
    split_channels: {"stem": 2, "stem#2": 2, "stem#3": 5, "stem#4": 3}
    | {"branch": 6, "mixed": 8},
}


def _inputs(model, num_examples=80):
    (tensor,) = model.inputs
    generator = np.random.default_rng(0)
    shape = (num_examples, *tensor.shape[1:])
    if tensor.dtype == "int32":
        return generator.integers(0, 30, shape).astype("int32")
    return generator.normal(size=shape).astype("float32")


@pytest.mark.parametrize("builder", FAMILIES)
def test_groups_and_their_sizes(builder):
    groups = trace_channels(models.build(builder)).groups
    assert {g.name: g.num_units for g in groups} == FAMILIES[builder]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("fraction", [0.3, 0.95])
@pytest.mark.parametrize("builder", FAMILIES)
def test_masked_equals_pruned(builder, fraction):
    model = models.build(builder)
    channel_map = trace_channels(model)
    inputs = _inputs(model, 4)
    keep = models.random_keep(channel_map, fraction)
    pruned = models.outputs_of(remove_channels(model, keep, channel_map), inputs)
    masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    assert models.relative_difference(pruned, masked) < 1e-4
    assert models.relative_difference(pruned, models.outputs_of(model, inputs)) > 1e-2


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", FAMILIES)
def test_repair_makes_up_for_what_the_default_ranker_removes(builder):
    model = models.build(builder)
    inputs = _inputs(model)
    expected = models.outputs_of(model, inputs)[0]
    errors = []
    for repair in (None, "least_squares"):
        pruned = prune(model, inputs, 0.4, repair=repair, verbose=0)
        assert pruned.count_params() < 0.7 * model.count_params()
        errors.append(np.mean((models.outputs_of(pruned, inputs)[0] - expected) ** 2))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.3 * expected.var()


@pytest.mark.eager
def test_whole_groups_leave_together():
    model = models.build(many_groups)
    pruned = prune(model, _inputs(model, 16), 0.5, verbose=0)
    layer = pruned.get_layer("first_grouped")
    assert (layer.groups, layer.filters) == (4, 8)
    assert pruned.get_layer("first_in").filters == 8


@pytest.mark.eager
def test_each_group_loses_as_many_channels():
    model = models.build(few_groups)
    pruned = prune(model, _inputs(model, 16), 0.5, verbose=0)
    layer = pruned.get_layer("first_grouped")
    assert (layer.groups, layer.filters) == (2, 8)
    assert pruned.get_layer("first_in").filters == 8
    assert layer.kernel.shape == (3, 3, 4, 8)


def test_masks_of_positions_reach_the_pooling():
    model = models.build(bag_of_words)
    channel_map = trace_channels(model)
    words = _inputs(model, 4)
    words[:, 10:] = 0
    masked = mask_channels(model, np.ones(channel_map.num_units, bool), channel_map)
    outputs = [models.outputs_of(m, words) for m in (masked, model)]
    assert models.relative_difference(*outputs) < 1e-6


def test_one_groups_input_that_stays_keeps_the_outputs_free():
    inputs = keras.Input((6, 6, 8))
    x = layers.Conv2D(16, 3, groups=8, name="grouped")(inputs)
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    (group,) = trace_channels(model).groups
    assert (group.name, group.num_units) == ("grouped", 2)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def test_channels_first_by_default_is_named_and_pruned(channels_first):
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.ops.max_pool(x, 2)
    model = keras.Model(inputs, layers.Dense(2, name="last")(layers.Flatten()(x)))
    reasons = trace_channels(model).lock_reasons()
    words = "data_format='channels_first'", "keras.config.image_data_format()"
    assert all(word in reasons["conv"] for word in words)
    pruned = prune(model, np.ones((4, 3, 8, 8), "float32"), verbose=0)
    assert pruned.get_layer("conv").filters == 2
    assert pruned.input_shape == (None, 3, 8, 8)
