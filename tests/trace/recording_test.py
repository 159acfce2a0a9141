"""Tests of recording a model, and the models within it."""

import keras
import models
import nested_models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.trace import functional_models, graph
from keras_shapley_prune.trace.recording import record_graph


@pytest.mark.sweep(4)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_recording_changes_nothing(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    record_graph(model)
    functional_models.functional_view(model)
    assert models.snapshot(model, inputs) == before


def test_calls_come_in_running_order_with_their_inputs_and_outputs():
    recorded = record_graph(models.build(models.residual))
    known = set(recorded.inputs)
    for index, call in enumerate(recorded.calls):
        assert call.index == index
        assert known.issuperset(call.inputs)
        known.update(call.outputs)
    assert known.issuperset(recorded.outputs)
    kinds = [type(call.operation).__name__ for call in recorded.calls]
    assert kinds.count("Add") == 2  # a layer and the operator `+`
    assert "Relu" in kinds


def test_a_shared_layer_is_one_operation_in_two_calls():
    recorded = record_graph(models.build(models.shared))
    calls = [call for call in recorded.calls if call.operation.name == "conv"]
    assert len(calls) == 2
    assert calls[0].operation is calls[1].operation


def test_keyword_arguments_are_kept():
    inputs = keras.Input((4,))
    x = layers.Dropout(0.5, seed=1)(inputs, training=True)
    model = keras.Model(inputs, x)
    recorded = record_graph(model)
    values = {recorded.inputs[0]: np.ones((8, 4), "float32")}
    graph.run_calls(recorded.calls, values)
    assert recorded.calls[0].kwargs == {"training": True}
    # Keras's `predict` drops nothing either: the model tells its layers.
    for found in (values[recorded.outputs[0]], model.predict(np.ones((8, 4)))):
        np.testing.assert_array_equal(found, np.ones((8, 4)))


def test_calls_in_nested_models_stand_in_their_place_with_their_path():
    recorded = record_graph(nested_models.in_the_middle())
    names = [call.name for call in recorded.calls]
    assert names[:6] == [
        "conv",
        "block/norm",
        "block/conv",
        "block/block/conv",
        "block/block/relu",
        "after",
    ]
    assert [call.index for call in recorded.calls] == list(range(len(names)))
    outer, inner = recorded.nested
    assert outer.inputs == recorded.calls[0].outputs
    assert outer.outputs == inner.outputs == recorded.calls[4].outputs
    assert inner.inputs == recorded.calls[2].outputs
    assert outer.model.get_layer("block") is inner.model


def test_each_call_of_a_nested_model_is_recorded():
    recorded = record_graph(nested_models.siamese())
    names = [call.name for call in recorded.calls]
    assert names.count("encoder/conv") == names.count("head/pool") == 2
    kinds = [nested.model.name for nested in recorded.nested]
    assert sorted(kinds) == ["encoder", "encoder", "head", "head"]
    first, second = (c for c in recorded.calls if c.name == "encoder/conv")
    assert first.operation is second.operation
    assert recorded.calls_of(first.operation) == [first, second]
    assert recorded.name_of(first.operation) == "encoder/conv"


def test_a_nested_model_casts_what_it_reads():
    recorded = record_graph(nested_models.half_precision_around())
    (cast,) = [call for call in recorded.calls if call.name == "base/cast"]
    assert (cast.inputs[0].dtype, cast.outputs[0].dtype) == ("bfloat16", "float32")


def test_training_arguments_reach_the_layers_that_take_one():
    recorded = record_graph(nested_models.frozen_transfer())
    kwargs = {call.name: call.kwargs for call in recorded.calls}
    assert kwargs["backbone/norm"]["training"] is False
    assert "training" not in kwargs["backbone/conv"]
    assert "training" not in kwargs["logits"]


def test_a_training_argument_is_dropped_where_the_layer_takes_none():
    inputs = keras.Input((4,))
    x = layers.Identity(name="same")(layers.Dense(3)(inputs), training=None)
    recorded = record_graph(keras.Model(inputs, layers.Dense(2)(x)))
    assert "training" not in recorded.calls[1].kwargs


def test_inner_sizes_are_those_of_the_call():
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3, name="conv")], name="inner"
    )
    inputs = keras.Input((8, 8, 3))
    recorded = record_graph(keras.Model(inputs, inner(inputs)))
    assert recorded.outputs[0].shape == (None, 6, 6, 4)


@pytest.mark.parametrize("kind", ["sparse", "ragged"])
def test_inputs_that_are_not_dense_are_refused(kind):
    inputs = keras.Input((6,), name="image", **{kind: True})
    model = keras.Model(inputs, layers.Dense(4)(inputs))
    with pytest.raises(ValueError, match=f"dense inputs.*'image'.*{kind}"):
        record_graph(model)
