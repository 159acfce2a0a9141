"""Tests of the conversion: the quick way writes what Keras's own does."""

import keras
import models
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework import meta_graph

from keras_shapley_prune.deploy import conversion
from keras_shapley_prune.trace.functional_models import input_structure
from keras_shapley_prune.trace.recording import record_graph

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")

# First one with swish, whose gradient is its own: what is exported has none.
BUILDERS = sorted(models.BUILDERS, key=lambda builder: builder is not models.branches)


def look(content):
    """Returns the operations of a file, in any order, and its inputs and outputs."""
    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    opened = interpreter.Interpreter(
        model_content=content, experimental_op_resolver_type=plain
    )
    opened.allocate_tensors()
    runner = opened.get_signature_runner()
    ends = [
        {name: (d["shape"].tolist(), d["dtype"]) for name, d in details.items()}
        for details in (runner.get_input_details(), runner.get_output_details())
    ]
    return sorted(one["op_name"] for one in opened._get_ops_details()), ends


@pytest.mark.sweep(1)
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("builder", BUILDERS)
def test_constants_are_converted_as_keras_does(builder, batch_size):
    model = models.build(builder)
    specs = [
        tf.TensorSpec((batch_size, *x.shape[1:]), x.dtype, x.name)
        for x in keras.tree.flatten(input_structure(model))
    ]
    found = conversion._convert_constants(model, specs)
    expected = conversion._convert_by_keras(model, specs)
    assert look(found) == look(expected)
    assert abs(len(found) - len(expected)) < 400


def test_tables_of_other_models_are_not_warned_of(monkeypatch):
    layers.StringLookup(vocabulary=["a"])
    said = []
    logger = meta_graph.logging
    monkeypatch.setattr(logger, "warning", lambda *parts: said.append(parts))
    model = keras.Sequential([keras.Input((3,), name="row"), layers.Dense(2)])
    conversion.convert(model, record_graph(model))
    assert not said


def test_keras_does_what_is_large(monkeypatch):
    model, ways = models.build(models.chain), []
    for name in ("_convert_constants", "_convert_by_keras"):
        monkeypatch.setattr(conversion, name, lambda *given, way=name: ways.append(way))
    graph = record_graph(model)
    for most in (model.count_params(), model.count_params() - 1):
        monkeypatch.setattr(conversion, "MOST_CONSTANTS", most)
        conversion.convert(model, graph)
    assert ways == ["_convert_constants", "_convert_by_keras"]


def test_keras_does_what_cannot_be_made_constant(monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("it has a state")

    from tensorflow.python.framework import convert_to_constants as constants

    monkeypatch.setattr(constants, "convert_variables_to_constants_v2", refuse)
    model = models.build(models.chain)
    assert look(conversion.convert(model, record_graph(model)))[0]
