"""Tests of what a student should share with the original."""

import keras
import models
import numpy as np
import tensorflow as tf
from keras import layers
from students import halve

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


def targets_of(model, pruned):
    """Returns the names of the layers whose outputs are imitated, and the heads."""
    imitation = Imitation(record_graph(model), record_graph(pruned))
    graph, tensors, stand_ins = imitation._features._original
    names = [c.operation.name for c in graph.calls if set(c.outputs) & set(tensors)]
    return names, [head.name for head, _ in imitation._heads], len(stand_ins)


def test_features_are_those_before_pooling():
    assert targets_of(*halve(layers="inner")) == (["last"], ["classes"], 0)


def test_other_widths_are_compared_before_the_activation():
    assert targets_of(*halve()) == (["classes"], [], 1)


def test_each_output_has_its_features():
    model, pruned = halve(models.two_ends, layers="conv")
    assert targets_of(model, pruned) == (["joint"], ["size", "classes"], 0)
    model, pruned = halve(models.two_ends)
    assert targets_of(model, pruned) == (["size", "classes"], [], 2)


def chain():
    """Three dense layers: the second reads 4 units, of which the test removes two."""
    inputs = keras.Input((3,), name="row")
    x = layers.Dense(4, activation="relu", name="first")(inputs)
    x = layers.Dense(5, activation="relu", name="second")(x)
    return keras.Model(inputs, layers.Dense(2, name="classes")(x))


def test_inner_features_are_compared_channel_by_channel():
    model = models.fresh(chain)
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[[0, 2]]] = False
    pruned = remove_channels(model, keep, channel_map)
    for layer in ("second", "classes"):  # only what the first one returns differs
        pruned.get_layer(layer).set_weights(
            [np.zeros_like(w) for w in pruned.get_layer(layer).get_weights()]
        )
        model.get_layer(layer).set_weights(
            [np.zeros_like(w) for w in model.get_layer(layer).get_weights()]
        )
    pruned.get_layer("first").bias.assign_add([3.0, 0.0])
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    graph = channel_map.graph
    imitation = Imitation(graph, record_graph(pruned), channel_map.ids, keep)
    imitation.measure_variances([[tf.constant(rows)]])
    expected = keras.Model(model.inputs, model.get_layer("first").output)([rows])
    found = keras.Model(pruned.inputs, pruned.get_layer("first").output)([rows])
    kept = np.array(expected)[:, [1, 3]]
    error = np.mean((kept - found) ** 2) / kept.var()
    loss = imitation.loss([rows], imitation.expect([rows]))
    np.testing.assert_allclose(loss, error, rtol=1e-5)


def test_without_the_units_what_has_lost_channels_is_not_compared():
    model, pruned = halve(layers="inner")
    channel_map, student = trace_channels(model), record_graph(pruned)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.select_groups("inner")[0].units[::2]] = False
    blind = Imitation(channel_map.graph, student)
    seeing = Imitation(channel_map.graph, student, channel_map.ids, keep)
    # What `inner` reads, what `classes` reads; and what the layer after `inner` reads.
    assert len(blind._all._targets) == len(blind._features._targets) + 2
    assert len(seeing._all._targets) == len(seeing._features._targets) + 3


def test_what_is_held_out_is_asked_of_the_original_once():
    model, pruned = halve(layers="inner", build=models.fresh)
    imitation = Imitation(record_graph(model), record_graph(pruned))
    batches = [[tf.constant(models.images(model, 6))]]
    imitation.measure_variances(batches)
    imitation.hold_out(batches)
    before = imitation.error()
    # What changes from here on is the original alone.
    for weight in model.weights:
        weight.assign(tf.zeros_like(weight.value))
    assert imitation.error() == before > 0
    pruned.get_layer("inner").kernel.assign_add(np.ones((3, 3, 6, 4)))
    assert imitation.error() != before


def test_the_terms_at_all_depths_count_as_much_as_the_features():
    model, pruned = halve(layers="inner")
    imitation = Imitation(record_graph(model), record_graph(pruned))
    assert imitation._shares.tolist() == [1, 0.5, 0.5]
