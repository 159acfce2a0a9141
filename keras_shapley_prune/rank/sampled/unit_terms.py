"""What single units contribute to the output of a linear layer."""

import tensorflow as tf

from keras_shapley_prune.layer_types.convolution_forms import ConvolutionForm
from keras_shapley_prune.layer_types.linear_forms import DenseForm, to_rows


class UnitTerms:
    """What single units contribute to the output of a linear layer.

    Args:
        form: The `LinearForm` of the layer.
        columns_of: Integer array, shape `(num_units, k)`: the columns of its rows that
            belong to each unit.
    """

    def __init__(self, form, columns_of):
        self._form = form
        self._weights = form.matrix[columns_of].astype("float32")
        # A unit's columns are those of its channels, at each tap of a kernel. Patches
        # of all channels at once would take as many times the memory as there are taps.
        self._by_channel = type(form).rows in (ConvolutionForm.rows, DenseForm.rows)
        self._parts_of = columns_of
        if self._by_channel:
            channels = form.channel_of[columns_of]
            num_channels = len(set(channels[0].tolist()))
            self._parts_of = channels[:, :num_channels]

    def split(self, inputs):
        """Returns what `of` takes, shape `(batch, channels, ...)`.

        Args:
            inputs: Tensor, what the form's `read` returned.
        """
        inputs = tf.cast(inputs, tf.float32)
        parts = inputs if self._by_channel else self._form.rows(inputs)
        # Channels first: those of one unit are then copied as a whole.
        rank = parts.shape.rank
        return tf.transpose(parts, [0, rank - 1, *range(1, rank - 1)])

    def of(self, parts, units):
        """Returns the contribution of one unit for each example.

        Args:
            parts: Tensor, what `split` returned.
            units: Int32 tensor, shape `(batch,)`.

        Returns:
            Float tensor, shape `(batch, positions, num_outputs)`.
        """
        chosen = tf.gather(parts, tf.gather(self._parts_of, units), batch_dims=1)
        # The batch is put among the channels, of which patches have no other use: to
        # copy rows of it is faster than single elements.
        spatial, count = parts.shape[2:], self._parts_of.shape[1]
        chosen = tf.transpose(chosen, [*range(2, chosen.shape.rank), 0, 1])
        chosen = tf.reshape(chosen, [1, *spatial, tf.size(units) * count])
        rows = self._form.rows(chosen) if self._by_channel else to_rows(chosen)
        weights = tf.gather(tf.constant(self._weights), units)  # (batch, k, outputs)
        taps = weights.shape[1] // count
        rows = tf.reshape(rows, [rows.shape[1], taps, tf.size(units), count])
        rows = tf.transpose(rows, [2, 0, 1, 3])
        rows = tf.reshape(rows, [-1, rows.shape[1], taps * count])
        return tf.matmul(rows, weights)
