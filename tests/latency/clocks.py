"""Functions that time models without a clock: what they return is known."""

import math

from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.recording import record_graph

CALL, PIECE, FLOP, ELEMENT = 1e-5, 2e-6, 1e-9, 4e-9  # seconds


def linear_clock(model):
    """Returns seconds that are a sum of what pieces do, and of a call."""
    pieces = find_pieces(record_graph(model))
    written = sum(
        math.prod(tensor.shape[1:])
        for piece in pieces
        for call in piece.calls
        for tensor in call.outputs
    )
    work = FLOP * count_flops(model) + ELEMENT * written
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
