"""What of a call's output depends on one of its inputs, as a matrix product."""

import math

import numpy as np

from keras_shapley_prune.layer_types.convolution_forms import ConvolutionForm
from keras_shapley_prune.layer_types.linear_forms import DenseForm, to_rows
from keras_shapley_prune.layer_types.registry import find_layer_type, find_linear_form
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.repair.taken_rows import (
    ROWS_A_COLUMN,
    choose_positions,
    rows_at,
    take_rows,
)

MAX_COLUMNS = 2400  # of a layer whose taps are told apart


class Reader:
    """One call at one of its inputs, as what it reads is to be reconstructed.

    Of a layer with more columns than `MAX_COLUMNS` the taps are not told apart: what
    each tap contributes to the output is reconstructed by itself (heads have no taps).
    What a layer reads that has no `LinearForm` is reconstructed itself, or what it is
    multiplied with.

    Args:
        call: A `Call`.
        position: Integer, which of its inputs, or `INSIDE`.

    Attributes:
        call: The `Call`.
        position: Integer.
        form: The `LinearForm` whose rows are the columns; `None` if these are the
            channels.
        weights: Float array, shape `(num_columns, num_outputs)`.
        channel_of: Integer array, which channel of the input each column is.
        blocks: The blocks of `weights`, see `LinearForm`.
    """

    def __init__(self, call, position):
        form = find_linear_form(call.operation)
        form = form if form is not None and form.site == position else None
        few = form is not None and len(form.channel_of) <= MAX_COLUMNS
        self.call, self.position = call, position
        self.form = form if few or position == INSIDE else None
        if self.form is not None:
            self.weights, self.channel_of = form.matrix, form.channel_of
            self.blocks = form.blocks
            return
        self.channel_of = np.arange(call.inputs[position].shape[-1])
        self.weights = _project(call, position, form, len(self.channel_of))
        outputs = np.arange(self.weights.shape[1])
        self.blocks = [(self.channel_of, outputs)]

    @property
    def key(self):
        """What the rows of two readers have in common if they are the same rows."""
        if self.form is None or type(self.form) is DenseForm:
            return self.call.inputs[max(self.position, 0)], "channels"
        if type(self.form) is not ConvolutionForm:
            return self.call
        layer = self.form.operation
        window = layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding
        return self.call.inputs[0], *window

    @property
    def positions_shape(self):
        """Tuple, the axes of which each place is a row of an example."""
        call = self.call
        tensor = call.inputs[self.position] if self.form is None else call.outputs[0]
        return tensor.shape[1:-1]

    def count_bytes(self, num_examples):
        """Returns the bytes of the rows of one example, at most.

        Args:
            num_examples: Integer, in all batches.
        """
        num_columns, shape = len(self.channel_of), self.positions_shape
        wanted = -(-ROWS_A_COLUMN * num_columns // num_examples)
        if None not in shape:
            wanted = min(wanted, math.prod(shape))
        return 4 * wanted * num_columns

    def take(self, values, masks, num_examples):
        """Returns rows of what the call reads, at as many positions as a fit needs.

        Args:
            values: Dict: symbolic tensor -> value, before the call.
            masks: Dict: input position -> `Mask`. That of `position` is not applied.
            num_examples: Integer, in all batches.

        Returns:
            Float32 tensor, shape `(batch, positions, num_columns)`.
        """
        num_columns = len(self.channel_of)
        if self.form is None:
            rows = to_rows(values[self.call.inputs[self.position]])
            chosen = choose_positions(rows.shape[1], num_columns, num_examples)
            return rows_at(rows, chosen)
        inputs = self.form.read(self.call, self.call.read(values), masks)
        count = self.form.count_positions(inputs)
        return take_rows(
            self.form, inputs, choose_positions(count, num_columns, num_examples)
        )

    def complete(self, xx):
        """Returns covariances where the outputs are those of the columns themselves.

        Args:
            xx: Float array, the covariances of the columns.

        Returns:
            Tuple `(xx, xy, yy)`: the same, those of columns with outputs, and the
            variances of the outputs.
        """
        xy = xx @ self.weights
        return xx, xy, np.einsum("co,co->o", self.weights, xy)


def _project(call, position, form, num_channels):
    """Returns what the channels of an input are multiplied with."""
    projected = find_layer_type(call.operation).projection(call, position)
    if form is not None:
        by_channel = form.matrix[np.argsort(form.channel_of, kind="stable")]
        weights = by_channel.reshape(num_channels, -1)
    elif projected is not None:
        weights = projected
    else:
        weights = np.eye(num_channels)
    if weights.shape[1] > num_channels:  # fewer columns will have the same moments
        return np.linalg.qr(weights.T, mode="r").T
    return weights
