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


def test_new_inputs_keep_structure_shape_dtype_and_name():
    inputs = {
        "b": keras.Input((None, 3), name="b", dtype="uint8"),
        "a": [keras.Input((2,), batch_size=4, name="a")],
    }
    fresh = graph.new_inputs(inputs)
    keras.tree.assert_same_structure(inputs, fresh)
    for old, new in zip(
        keras.tree.flatten(inputs), keras.tree.flatten(fresh), strict=True
    ):
        assert new is not old
        assert (new.shape, new.dtype, new.name) == (old.shape, old.dtype, old.name)


def _called(model):
    model(np.ones((1, 3), "float32"))
    return model


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: keras.Sequential([layers.Dense(3)], name="mine"), "an unbuilt model"),
        (models.Subclassed, "a subclassed model"),
        (lambda: _called(models.Subclassed()), "a subclassed model"),
        (lambda: layers.Dense(3, name="mine"), "Dense"),
        (lambda: "model.keras", "'model.keras'"),
        (lambda: None, "None"),
    ],
)
def test_what_has_no_graph_is_refused(build, words):
    with pytest.raises(ValueError, match="Argument `model` should be a built") as info:
        record_graph(build())
    assert words in str(info.value)


def test_another_backend_is_refused(monkeypatch):
    model = models.build(models.chain)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow") as info:
        graph.check_backend()
    assert "'jax'" in str(info.value)
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        record_graph(model)


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


def test_the_inputs_of_a_model_as_it_takes_them():
    sequential = models.build(models.chain)
    (tensor,) = sequential.inputs
    assert graph.input_structure(sequential) is tensor
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((3,), name="a")}
    functional = keras.Model(inputs, layers.Add()(list(inputs.values())))
    assert graph.input_structure(functional) is functional.input
