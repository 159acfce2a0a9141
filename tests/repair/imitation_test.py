"""Tests of what a student should share with the original."""

import models
from students import halve

from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.trace.recording import record_graph


def targets_of(model, pruned):
    """Returns the names of the layers whose outputs are imitated, and the heads."""
    imitation = Imitation(record_graph(model), record_graph(pruned))
    graph, tensors, stand_ins = imitation._sides[0]
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
