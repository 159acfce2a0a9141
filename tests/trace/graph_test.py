"""Tests of the recorded graph."""

import keras
import models
import nested_models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_types.masked_calls import Mask
from keras_shapley_prune.trace import graph
from keras_shapley_prune.trace.recording import record_graph


@pytest.mark.sweep(5)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_running_the_recorded_calls_gives_the_outputs(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    recorded = record_graph(model)
    values = dict(zip(recorded.inputs, keras.tree.flatten(inputs), strict=True))
    graph.run_calls(recorded.calls, values)
    outputs = [values[tensor].numpy() for tensor in recorded.outputs]
    for ours, theirs in zip(outputs, models.outputs_of(model, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_consumers_are_the_calls_that_read_a_tensor():
    recorded = record_graph(models.build(models.branches))
    (image,) = recorded.inputs
    readers = recorded.consumers()
    names = [call.operation.name for call in readers[image]]
    assert sorted(names) == ["a", "b", "concatenate"]
    assert recorded.outputs[0] not in readers


def test_what_is_masked_is_not_read():
    model = models.build(models.branches)
    inputs = models.inputs_of(model)
    recorded = record_graph(model)
    seen = []

    def mask_the_gate(call):
        seen.append(call.index)
        return {1: Mask(np.zeros(8))} if call.operation.name == "multiply" else {}

    values = {recorded.inputs[0]: inputs}
    graph.run_calls(recorded.calls, values, mask_the_gate)
    assert seen == [call.index for call in recorded.calls]
    (multiply,) = [c for c in recorded.calls if c.operation.name == "multiply"]
    assert not values[multiply.outputs[0]].numpy().any()


def test_a_whole_graph_runs_like_the_model():
    for builder in (models.residual, models.branches, nested_models.in_the_middle):
        model = models.build(builder)
        inputs = models.inputs_of(model)
        returned = record_graph(model).run(inputs)
        keras.tree.assert_same_structure(returned, model.output)
        for ours, theirs in zip(
            keras.tree.flatten(returned), models.outputs_of(model, inputs), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_structures_are_fed_and_collected():
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((3,), name="a")}
    total = layers.Add()([inputs["a"], inputs["b"]])
    recorded = record_graph(keras.Model(inputs, {"sum": total, "same": inputs["b"]}))
    fed = recorded.feed({"a": 1, "b": 2})
    assert {tensor.name: value for tensor, value in fed.items()} == {"a": 1, "b": 2}
    values = {"a": np.ones((1, 3)), "b": np.full((1, 3), 2.0)}
    returned = recorded.run(values)
    np.testing.assert_array_equal(returned["sum"], np.full((1, 3), 3.0))
    np.testing.assert_array_equal(returned["same"], values["b"])


def test_producers_and_last_uses():
    recorded = record_graph(models.build(models.branches))
    (image,) = recorded.inputs
    assert image not in recorded.producers
    for call in recorded.calls:
        for tensor in call.outputs:
            assert recorded.producers[tensor] is call
    readers = [call.index for call in recorded.consumers()[image]]
    assert len(readers) > 1
    assert recorded.last_uses[image] == max(readers)
    assert recorded.last_uses[recorded.outputs[0]] == len(recorded.calls)
