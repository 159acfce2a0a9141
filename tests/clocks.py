"""Functions that time models without a clock, of which all is known; and a model."""

import math

import keras
from keras import layers, ops

from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.plan.flops import count_graph_flops
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes

CALL, PIECE, FLOP, ELEMENT = 1e-5, 2e-6, 1e-9, 4e-9  # seconds


def linear_clock(model):
    """Returns seconds that are a sum of what pieces do, and of a call."""
    graph = record_graph(model)
    pieces = find_pieces(graph)
    written = sum(
        math.prod(tensor.shape[1:])
        for piece in pieces
        for call in piece.calls
        for tensor in call.outputs
    )
    work = FLOP * count_graph_flops(give_sizes(graph, None)) + ELEMENT * written
    return CALL + PIECE * len(pieces) + work


class SteppedClock:
    """Takes filters in steps: those of a convolution are rounded up.

    Args:
        step: Integer.
    """

    def __init__(self, step):
        self.step, self.num_calls = step, 0

    def __call__(self, model):
        self.num_calls += 1
        seconds = CALL
        for call in record_graph(model).calls:
            filters = getattr(call.operation, "filters", None)
            if filters is not None:
                rounded = -(-filters // self.step) * self.step
                kernel = math.prod(call.operation.kernel.shape[:-1]) * rounded
                seconds += FLOP * kernel * math.prod(call.outputs[0].shape[1:-1])
        return seconds


def build_residual(activation="relu", width=8):
    """A network with two equal blocks, a pooling and a head."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(2.0)(inputs)
    x = stream = layers.Conv2D(width, 3, padding="same")(x)
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(stream)
        x = layers.BatchNormalization()(x)
        stream = layers.Activation(activation)(x + stream)
    x = layers.GlobalAveragePooling2D()(stream)
    return keras.Model(inputs, layers.Dense(4)(ops.tanh(x)))
