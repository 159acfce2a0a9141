"""Tests of which calls of a model are drawn as one box."""

import keras
import models
from keras import layers

from keras_shapley_prune.report.channel_boxes import find_boxes
from keras_shapley_prune.report.channel_colors import ChannelColors
from keras_shapley_prune.trace.tracer import trace_channels


def boxes_of(model):
    channel_map = trace_channels(model)
    boxes = find_boxes(channel_map.graph, ChannelColors(channel_map))
    calls = [call.index for box in boxes for call in box.calls]
    assert sorted(calls) == list(range(len(channel_map.graph.calls)))
    return [[call.name for call in box.calls] for box in boxes]


def residual_network(depth):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    for block in range(depth):
        y = layers.Conv2D(4, 3, padding="same", name=f"b{block}_conv")(x)
        x = layers.Add(name=f"b{block}_add")([x, y])
        x = layers.ReLU(name=f"b{block}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def test_blocks_and_layers_with_what_follows():
    assert boxes_of(residual_network(2)) == [
        ["stem", "norm"],
        ["b0_conv", "b0_add", "b0_relu"],
        ["b1_conv", "b1_add", "b1_relu", "pool"],
        ["logits"],
    ]


def test_what_branches_for_long_is_not_one_box():
    inputs = keras.Input((8, 8, 3))
    first = x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    for number in range(14):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv{number}")(x)
    x = layers.Concatenate(name="join")([first, x])
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="last")(x))
    assert len(boxes_of(model)) == 17


def test_every_call_is_in_one_box():
    for builder in (models.shared, models.two_ends, models.branches, models.locked):
        assert boxes_of(models.build(builder))
