"""Tests of what is asked of a model."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.inputs.models import check_backend
from keras_shapley_prune.trace import functional_models
from keras_shapley_prune.trace.recording import record_graph


def test_new_inputs_keep_structure_shape_dtype_and_name():
    inputs = {
        "b": keras.Input((None, 3), name="b", dtype="uint8"),
        "a": [keras.Input((2,), batch_size=4, name="a")],
    }
    fresh = functional_models.new_inputs(inputs)
    keras.tree.assert_same_structure(inputs, fresh)
    for old, new in zip(
        keras.tree.flatten(inputs), keras.tree.flatten(fresh), strict=True
    ):
        assert new is not old
        assert (new.shape, new.dtype, new.name) == (old.shape, old.dtype, old.name)


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
        check_backend()
    assert "'jax'" in str(info.value)
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        record_graph(model)


def test_the_inputs_of_a_model_as_it_takes_them():
    sequential = models.build(models.chain)
    (tensor,) = sequential.inputs
    assert functional_models.input_structure(sequential) is tensor
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((3,), name="a")}
    functional = keras.Model(inputs, layers.Add()(list(inputs.values())))
    assert functional_models.input_structure(functional) is functional.input


def _called(model):
    model(np.ones((1, 3), "float32"))
    return model


def test_inputs_without_a_name_keep_that_of_their_layer():
    """The layer has one name, the tensor another: files have that of the layer."""
    inputs = keras.Input((2,))
    layer = inputs._keras_history.operation
    assert layer.name != inputs.name
    fresh = functional_models.new_inputs([inputs])[0]
    assert fresh.name == inputs.name
    assert fresh._keras_history.operation.name == layer.name
    # What is no input of a model, such as one of several outputs, has only its own.
    parts = keras.ops.split(inputs, 2, axis=-1)
    fresh = functional_models.new_inputs(parts)
    assert [x.name for x in fresh] == [x.name for x in parts]
    keras.Model(fresh, keras.ops.add(*fresh))


def test_a_tensor_that_is_read_twice_gets_two_names():
    """Keras takes no two inputs of one name."""
    hidden = layers.Dense(3)(keras.Input((2,)))
    fresh = functional_models.new_inputs([hidden, hidden])
    keras.Model(fresh, keras.ops.add(*fresh))


def test_a_plain_model_is_cloned_without_a_second_one():
    model = models.build(models.residual)
    assert functional_models.view_to_clone(model) is model


def _compiled(model):
    model.compile("sgd", "mse")


def _with_a_call_of_its_own(model):
    model.call = type(model).call.__get__(model)


@pytest.mark.parametrize("change", [_compiled, _with_a_call_of_its_own])
def test_the_clone_of_any_other_model_is_of_a_plain_one(change):
    model = models.fresh(models.residual)
    change(model)
    view = functional_models.view_to_clone(model)
    assert view is not model and view.layers == model.layers
    assert functional_models.view_to_clone(view) is view
