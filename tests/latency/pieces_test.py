"""Tests of how a network is taken apart."""

import keras
import numpy as np
from clocks import build_residual
from keras import layers

from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.trace.recording import record_graph


def test_a_piece_is_a_kernel_and_what_follows():
    pieces = find_pieces(record_graph(build_residual()))
    kinds = [[type(call.operation).__name__ for call in p.calls] for p in pieces]
    block = ["Conv2D", "BatchNormalization", "Add", "Activation"]
    assert kinds == [
        ["Rescaling"],
        ["Conv2D"],
        block,
        [*block, "GlobalAveragePooling2D", "Tanh"],
        ["Dense"],
    ]
    assert len({piece.name for piece in pieces}) == len(pieces)


def test_every_call_is_in_one_piece():
    graph = record_graph(build_residual())
    calls = [call.index for piece in find_pieces(graph) for call in piece.calls]
    assert sorted(calls) == list(range(len(graph.calls)))


def test_the_pieces_together_do_what_the_model_does():
    model = build_residual()
    graph = record_graph(model)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    values = dict(zip(graph.inputs, [x], strict=True))
    for piece in find_pieces(graph):
        given = [values[tensor] for tensor in piece.inputs]
        found = keras.tree.flatten(piece.build()(given))
        values.update(zip(piece.outputs, found, strict=True))
    np.testing.assert_allclose(values[graph.outputs[0]], model(x), atol=1e-5)


def test_pieces_that_do_the_same_have_one_key():
    pieces = find_pieces(record_graph(build_residual()))
    first, second, third, fourth, _ = (piece.key for piece in pieces)
    assert len({first, second, third, fourth}) == 4  # a pooling is behind one of them
    again = find_pieces(record_graph(build_residual()))  # layers have other names
    assert [piece.key for piece in again] == [piece.key for piece in pieces]


def test_other_settings_and_shapes_have_other_keys():
    own = {piece.key for piece in find_pieces(record_graph(build_residual()))}
    for others in (build_residual("gelu"), build_residual(width=9)):
        keys = [piece.key for piece in find_pieces(record_graph(others))]
        assert keys[2] not in own


def test_nested_models_with_layers_of_one_name():
    def half(channels):
        inputs = keras.Input((8, 8, channels))
        x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
        return keras.Model(inputs, layers.ReLU(name="relu")(x))

    inputs = keras.Input((8, 8, 2))
    model = keras.Model(inputs, half(4)(layers.Conv2D(4, 1)(half(2)(inputs))))
    pieces = find_pieces(record_graph(model))
    assert len({piece.name for piece in pieces}) == len(pieces) == 3
    assert [piece.build().count_params() for piece in pieces] == [76, 20, 148]
