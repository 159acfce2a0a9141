"""Tests of units that are removed only with those of others."""

import re

import block_models
import keras
import models
import nested_models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.trace.groups import fix_followers, number_units
from keras_shapley_prune.trace.tracer import trace_channels


def test_units_that_only_followers_have_are_fixed():
    # 0 to 2 are a layer's, 3 to 5 and 6 to 7 those of followers.
    ties = [np.array([[0, 1], [3, 4]])]
    produced = [
        (np.arange(3), False),
        (np.arange(3, 6), True),
        (np.arange(6, 8), True),
    ]
    numbers = fix_followers(number_units(8, ties), produced)
    assert numbers.tolist() == [0, 1, 2, 0, 1, FIXED, FIXED, FIXED]


def test_without_followers_nothing_changes():
    numbers = number_units(4, [np.array([[1], [3]])])
    assert fix_followers(numbers, [(np.arange(4), False)]).tolist() == [0, 1, 2, 1]
    assert not fix_followers(np.zeros(0, int), []).size


def test_the_name_of_a_layer_is_no_pattern():
    inputs = x = keras.Input((4,))
    for name in ("c1", "c[1]", "c2"):
        x = keras.layers.Dense(4, name=name)(x)
    outputs = keras.layers.Dense(2, name="c?")(x)
    channel_map = trace_channels(keras.Model(inputs, outputs))

    def selected(pattern):
        return [group.name for group in channel_map.select_groups(pattern)]

    assert selected("c[1]") == ["c[1]"]
    assert selected("c[12]") == ["c1", "c2"]
    assert selected("c*") == ["c1", "c[1]", "c2"]
    with pytest.raises(ValueError, match=r"'c\?', which is locked: model output"):
        selected("c?")
    shares = PruningBudget({"c[1]": 0.5, "c*": 0.25})
    assert [shares.ratio_of(group) for group in channel_map.groups] == [0.25, 0.5, 0.25]


def test_expressions_are_searched_for_in_the_names_of_nested_layers():
    channel_map = trace_channels(models.build(nested_models.transfer))
    names = [group.name for group in channel_map.groups]
    nested = [name for name in names if name.startswith("backbone/")]
    assert nested and len(nested) < len(names)

    def selected(*patterns):
        return [group.name for group in channel_map.select_groups(list(patterns))]

    assert selected(re.compile("^backbone/")) == nested
    assert selected(re.compile("^(?!backbone/)"), "backbone/*") == names
    with pytest.raises(ValueError, match=r"Received: re\.compile\('typo'\)\. Layers"):
        selected(re.compile("typo"))


def test_functions_get_the_layers_that_produce_units():
    inputs = keras.Input((5, 4))
    x = layers.TimeDistributed(layers.Dense(6, name="each"), name="steps")(inputs)
    x = layers.LSTM(5, name="lstm")(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    channel_map = trace_channels(model)
    seen = []

    def is_dense(layer):
        seen.append(layer)
        return isinstance(layer, layers.Dense)

    (group,) = channel_map.select_groups(is_dense)
    assert group.name == "steps"  # the locked output is not asked for
    assert seen == [model.get_layer("steps").layer, model.get_layer("lstm")]
    assert channel_map.name_selected(["lstm", is_dense], "layers") == ["lstm", "steps"]
    with pytest.raises(ValueError, match=r"`ignore` .* Received: <function .*is_model"):
        channel_map.select_groups(is_model, "ignore")


def is_model(layer):
    return isinstance(layer, keras.Model)


def test_functions_get_the_additions_of_blocks():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model, granularity="block")
    (group,) = channel_map.groups
    assert group.producers == ("a_add", "b_add", "c_add")
    for pattern in (re.compile("^[ac]_"), lambda layer: layer.name != "b_add"):
        assert group.find_units(pattern).tolist() == [True, False, True]
        assert group.find_units([pattern, "b_add"]).all()
    assert group.matches(lambda layer: isinstance(layer, layers.Add))
    assert not group.matches(lambda layer: isinstance(layer, layers.Conv2D))


def test_groups_of_a_layer_are_selected_by_their_own_names():
    channel_map = trace_channels(models.build(block_models.vision_transformer))
    heads = ["one_attention/heads", "two_attention/heads"]
    for pattern in ("*/heads", re.compile("/heads$"), heads):
        found = channel_map.select_groups(pattern)
        assert [group.name for group in found] == heads
    budget = PruningBudget(layers="two_*/heads")
    (group,) = budget.select_groups(channel_map)
    assert budget.may_remove(group).all()
