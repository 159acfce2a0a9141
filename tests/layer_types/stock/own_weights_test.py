"""Tests of weights with an entry for each head: the heads are removed from them too."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune import ShapleyRanker, prune, to_functional
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.stock.own_weights import OwnWeight
from keras_shapley_prune.trace.tracer import trace_channels

LENGTH, HEADS, WIDTH = 5, 4, 2


class Heads(layers.Layer):
    """An attention that is written out, with a weight of its own.

    Args:
        shape: Tuple, that of the weight.
        place: String, what the weight is joined with.
        turn: Callable, what is made of it before.
    """

    def __init__(self, shape, place="scores", turn=lambda weight: weight, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.place, self.turn = shape, place, turn
        self.parts = [layers.Dense(HEADS * WIDTH, name=name) for name in "qkv"]
        self.out = layers.Dense(8, name="out")

    def build(self, input_shape):
        self.extra = self.add_weight(shape=self.shape, name="extra")
        for part in self.parts:
            part.build(input_shape)
        self.out.build((*input_shape[:-1], HEADS * WIDTH))

    def call(self, inputs):
        count, length = ops.shape(inputs)[:2]
        given = dict.fromkeys(("scores", "values", "memory"))
        given[self.place] = self.turn(self.extra)

        def split(part):
            x = ops.reshape(part(inputs), (count, length, HEADS, WIDTH))
            return ops.transpose(x, (0, 2, 1, 3))

        query, key, value = map(split, self.parts)
        if given["values"] is not None:
            value = value * given["values"]
        if given["memory"] is not None:
            more = ops.broadcast_to(given["memory"], (count, HEADS, 1, WIDTH))
            key = ops.concatenate([key, more], axis=2)
            value = ops.concatenate([value, more], axis=2)
        scores = query @ ops.transpose(key, (0, 1, 3, 2))
        if given["scores"] is not None:
            scores = scores * ops.exp(given["scores"]) + given["scores"]
        x = ops.transpose(ops.softmax(scores) @ value, (0, 2, 1, 3))
        return self.out(ops.reshape(x, (count, length, HEADS * WIDTH)))


OFFSETS = np.abs(np.arange(LENGTH)[:, np.newaxis] - np.arange(LENGTH))
WEIGHTS = {
    "a bias": ((HEADS, LENGTH, LENGTH), "scores", lambda x: x),
    "a bias for one example": ((1, HEADS, LENGTH, LENGTH), "scores", lambda x: x),
    "a bias, heads last": (
        (LENGTH, LENGTH, HEADS),
        "scores",
        lambda x: ops.transpose(x, (2, 0, 1)),
    ),
    "a table of offsets": (
        (HEADS, LENGTH),
        "scores",
        lambda x: ops.take(x, OFFSETS, axis=1),
    ),
    "a temperature": ((HEADS, 1, 1), "scores", lambda x: ops.minimum(x, 4.0)),
    "a flat temperature": (
        (HEADS,),
        "scores",
        lambda x: ops.reshape(x, (1, HEADS, 1, 1)),
    ),
    "a scale of values": ((HEADS, 1, WIDTH), "values", lambda x: x),
    "a memory": ((1, HEADS, 1, WIDTH), "memory", lambda x: x),
}


def _functional(name, length=LENGTH):
    inputs = keras.Input((length, 3))
    x = layers.Dense(8, name="before")(inputs)
    x = x + Heads(*WEIGHTS[name], name="heads")(x)
    model = keras.Model(inputs, layers.Dense(3, name="after")(x))
    return to_functional(models.randomize(model))


def _check(functional, inputs):
    channel_map = trace_channels(functional)
    assert set(channel_map.lock_reasons()) == {"after"}
    assert sorted(group.num_units for group in channel_map.groups) == [HEADS, 8]
    models.check_masks(functional, inputs=inputs)


def _heads(functional):
    groups = trace_channels(functional).groups
    return next(group.name for group in groups if group.num_units == HEADS)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", WEIGHTS)
def test_heads_are_removed_from_weights(name):
    functional = _functional(name)
    _check(functional, models.images(functional, 3))
    removed = np.array([False, True, True, False])
    smaller = remove_channels(functional, remove={_heads(functional): removed})
    size = functional.get_layer("heads").get_layer("extra").count_params()
    left = smaller.get_layer("heads").get_layer("extra").count_params()
    assert left * HEADS == size * (HEADS - 2)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("estimator", ["permutation", "gradient", "exact"])
def test_weights_are_not_repeated_with_the_examples(estimator):
    functional = _functional("a bias")  # it enters where heads are masked
    rows = models.images(functional, 8)
    stages = 1 if estimator == "exact" else None
    ranker = ShapleyRanker("kl", estimator, stages=stages)
    pruned = prune(functional, rows, ranker=ranker, repair=None, verbose=0)
    assert pruned.count_params() < functional.count_params()


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", ["a temperature", "a memory"])
def test_where_the_length_is_open(name):
    rows = np.random.default_rng(0).normal(size=(3, 7, 3)).astype("float32")
    _check(_functional(name, None), rows)


class Positions(layers.Layer):
    """A table of positions, with a layer behind it."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.dense = shape, layers.Dense(6, name="dense")

    def build(self, input_shape):
        self.table = self.add_weight(shape=self.shape, name="table")
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs + self.table)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("shape", [(1, 2, 3, 8), (2, 1, 8), (3, 8)])
def test_positions_that_remain_lock_no_channels(shape):
    inputs = keras.Input((2, 3, 3))
    x = Positions(shape, name="positions")(layers.Dense(8, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="after")(layers.Flatten()(x)))
    functional = to_functional(models.randomize(model))
    assert set(trace_channels(functional).lock_reasons()) == {"after"}
    models.check_masks(functional)


class MixesPositions(layers.Layer):
    """A mixer whose hidden positions have weights of their own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(7, name="hidden")
        self.back = layers.Dense(LENGTH, name="back")

    def build(self, input_shape):
        self.table = self.add_weight(shape=(8, 7), name="table")
        self.hidden.build((None, 8, LENGTH))
        self.back.build((None, 8, 7))

    def call(self, inputs):
        x = ops.gelu(self.hidden(ops.transpose(inputs, (0, 2, 1))) + self.table)
        return inputs + ops.transpose(self.back(x), (0, 2, 1))


def test_a_weight_loses_channels_and_hidden_positions():
    inputs = keras.Input((LENGTH, 3))
    x = MixesPositions(name="mixer")(layers.Dense(8, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="after")(x))
    functional = to_functional(models.randomize(model))
    models.check_masks(functional)
    remove = {"before": [0, 3], "mixer/hidden": [1]}
    smaller = remove_channels(functional, remove=remove)
    assert smaller.get_layer("mixer").get_layer("table").shape == (6, 6)


def test_an_axis_may_be_empty():
    # KerasHub's DeiT returns an empty array of scores where none are asked for.
    inputs = keras.Input((5, 4))
    x = layers.Dense(6, name="before")(inputs)
    none = OwnWeight((0, 5, 6), learned=False, name="none")(x)
    model = keras.Model(inputs, layers.Dense(2)(ops.concatenate([none, x], axis=0)))
    channel_map = trace_channels(model)
    assert [group.name for group in channel_map.groups] == ["before"]
    keep = models.random_keep(channel_map, 0.5, 0)
    smaller = remove_channels(model, keep, channel_map)
    assert smaller.get_layer("none").shape == (0, 5, 3)
