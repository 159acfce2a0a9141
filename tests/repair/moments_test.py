"""Tests of the moments of what is read, from one pass."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.repair import (
    augmented_copies,
    moments,
    readers,
    taken_rows,
)
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.tracer import trace_channels


def batches_of(model, count=24, size=10):
    flat = keras.tree.flatten(models.inputs_of(model, count))
    starts = range(0, count, size)
    return [[tf.constant(x[start : start + size]) for x in flat] for start in starts]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("max_columns", [2400, 10])
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_moments_are_those_of_two_equal_networks(monkeypatch, builder, max_columns):
    """Where the original is no copy, what it should return is looked at."""
    monkeypatch.setattr(readers, "MAX_COLUMNS", max_columns)
    monkeypatch.setattr(taken_rows, "ROWS_A_COLUMN", 10**6)
    monkeypatch.setattr(augmented_copies, "MAX_COPIES", 0)
    monkeypatch.setattr(Repairer, "has_changed", lambda self, call: True)
    model = models.build(builder)
    channel_map, batches = trace_channels(model), batches_of(model)
    groups = channel_map.groups
    found = InputMoments(channel_map, groups, batches)
    repairer = Repairer(copy_whole(model, channel_map), batches)
    for index, position in {e for g in groups for e in channel_map.ends_of(g)}:
        call = channel_map.graph.calls[index]
        reader, covariances = found.collect(call, position)
        twin = repairer.channel_map.graph.calls[index]
        theirs, expected = repairer.collect(twin, position)
        np.testing.assert_array_equal(reader.weights, theirs.weights)
        for ours, other in zip(covariances, expected, strict=True):
            scale = max(np.abs(other).max(), 1e-3)
            np.testing.assert_allclose(ours, other, atol=1e-4 * scale)


def test_readers_of_the_same_rows_share_them(monkeypatch):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="units")(inputs)
    readers = [
        layers.Conv2D(4, 3)(x),
        layers.Conv2D(5, 3, use_bias=False)(x),
        layers.Conv2D(4, 3, padding="same")(x),
        layers.Dense(4)(x),
        layers.Dense(2)(x),
    ]
    model = keras.Model(inputs, readers)
    made = []
    gram = moments.Gram
    monkeypatch.setattr(
        moments, "Gram", lambda *a, **k: made.append(a) or gram(*a, **k)
    )
    channel_map = trace_channels(model)
    InputMoments(channel_map, channel_map.groups, batches_of(model))
    assert sorted(made) == [(6, 0), (54, 0), (54, 0)]


@pytest.mark.parametrize("count", [24, 9])
def test_every_fifth_example_is_held_out(monkeypatch, count):
    """Of fewer than ten examples none is."""
    monkeypatch.setattr(moments, "most_copies", lambda _: 0)
    model = models.build(models.chain)
    channel_map, x = trace_channels(model), models.images(model, count)
    fitted = np.delete(x, np.s_[::5], axis=0) if count >= 10 else x
    found, expected = (
        InputMoments(
            channel_map,
            channel_map.groups,
            [[tf.constant(part)] for part in np.split(images, [7])],
            num_copies=2 if len(images) < 10 else 0,
            hold_out=hold_out,
        )
        for images, hold_out in ((x, True), (fitted, False))
    )
    assert found.holds_out == (count >= 10)
    assert not expected.holds_out
    for group in channel_map.groups:
        for index, position in channel_map.ends_of(group):
            call = channel_map.graph.calls[index]
            ours, theirs = (
                (m.collect(call, position)[1][0], m.mean_of(call, position))
                for m in (found, expected)
            )
            np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
            np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


def test_copies_of_held_out_examples_are_held_out():
    model = models.build(models.chain)  # of which all layers read copies
    channel_map, x = trace_channels(model), models.images(model, 24)
    call = next(c for c in channel_map.graph.calls if c.name == "dense2")
    found = []
    for added in (0.0, 1.0):
        images = x.copy()
        images[::5] += added
        batches = [[tf.constant(images)]]
        seen = InputMoments(
            channel_map, channel_map.groups, batches, num_copies=2, hold_out=True
        )
        found.append(seen.collect(call, 0)[1][0])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_values_that_are_not_finite_are_an_error():
    model = models.fresh(models.chain)
    channel_map, ((images,), *_) = trace_channels(model), batches_of(model)
    batches = [[images], [images * np.nan]]
    with pytest.raises(ValueError, match=r"finite values .* for input"):
        InputMoments(channel_map, channel_map.groups, batches)
    model.get_layer("bn1").beta.assign(np.full(8, np.inf))
    with pytest.raises(ValueError, match=r"finite values .* 'conv2' reads"):
        InputMoments(channel_map, channel_map.groups, [[images]])
