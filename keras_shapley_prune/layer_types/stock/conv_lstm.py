"""Convolutional LSTMs: hidden units that are channels of an image."""

from keras import layers

from keras_shapley_prune.layer_types.layer_type import count_positions
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.recurrent import RecurrentType


class ConvLSTMType(RecurrentType):
    """A `ConvLSTM1D`, 2D or 3D: its filters are hidden units, with four gates each.

    A hidden unit is a channel at all positions; the kernels have taps before the axes
    that they have in an LSTM.
    """

    size = "filters"

    def __init__(self):
        super().__init__(num_gates=4)

    def count_uses(self, call):
        # Both kernels at each position of the state, which is that of the output.
        steps, *positions, _ = call.inputs[0].shape[1:]
        positions = call.outputs[0].shape[-1 - len(positions) : -1]
        return count_positions((steps, *positions))


for rank in (1, 2, 3):
    LAYER_TYPES[getattr(layers, f"ConvLSTM{rank}D")] = ConvLSTMType()
