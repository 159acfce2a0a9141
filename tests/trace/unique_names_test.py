"""Tests of names that no other has."""

import keras
import models
import nested_models
import numpy as np
from keras import layers

from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.unique_names import UniqueNames, part_namesakes


def _parted(builder):
    calls = record_graph(models.build(builder)).calls
    return calls, part_namesakes(calls)


def test_names_become_unique_and_the_first_keeps_its_own():
    calls, parted = _parted(nested_models.in_the_middle)
    names = [call.operation.name for call in parted]
    assert len(set(names)) == len(names)
    assert [name for name in names if "conv" in name] == [
        "conv",
        "block_conv",
        "block_block_conv",
    ]
    for call, other in zip(calls, parted, strict=True):
        assert (other.index, other.inputs) == (call.index, call.inputs)


def test_operations_of_unique_names_stay_the_same():
    calls, parted = _parted(models.residual)
    for call, other in zip(calls, parted, strict=True):
        assert other.operation is call.operation


def test_a_name_that_is_taken_gets_a_number():
    inner = keras.Sequential([layers.Dense(3, name="a")], name="x")
    inputs = keras.Input((3,))
    y = layers.Dense(3, name="a")(inputs)
    y = inner(layers.Dense(3, name="x_a")(y))
    parted = part_namesakes(record_graph(keras.Model(inputs, y)).calls)
    assert [call.operation.name for call in parted] == ["a", "x_a", "x_a_2"]


def test_twins_share_weights_and_nothing_else_changes():
    model = models.build(nested_models.in_the_middle)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    calls = record_graph(model).calls
    for call, other in zip(calls, part_namesakes(calls), strict=True):
        twin = other.operation
        assert type(twin) is type(call.operation)
        weights = getattr(call.operation, "weights", [])
        for ours, theirs in zip(getattr(twin, "weights", []), weights, strict=True):
            assert ours is theirs
        if twin is not call.operation:
            twin(keras.Input(call.inputs[0].shape[1:]))
            assert twin.get_config()["name"] == twin.name
    assert models.snapshot(model, inputs) == before


def test_a_layer_that_is_shared_has_one_twin():
    model = models.build(nested_models.siamese)
    parted = part_namesakes(record_graph(model).calls)
    operations = [c.operation for c in parted if c.name == "encoder/conv"]
    assert len(operations) == 2
    assert operations[0] is operations[1]
    assert np.unique([c.operation.name for c in parted]).size < len(parted)


def test_each_name_is_given_once():
    names = UniqueNames()
    assert [names.take("a") for _ in range(3)] == ["a", "a_2", "a_3"]
    assert names.take("a", "b") == "b"
    assert names.take("a", "b") == "b_2"
    assert names.take("a_4") == "a_4"
    assert names.take("a") == "a_5"
    names = UniqueNames("#", first=1)
    assert [names.take("a") for _ in range(2)] == ["a", "a#1"]
