"""What the heads of an attention return, and the projection that reads it."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_shapley_prune.layer_types.linear_forms import LinearForm, to_rows
from keras_shapley_prune.layer_types.masked_calls import mask_inputs
from keras_shapley_prune.layer_types.unit_ids import INSIDE


@dataclasses.dataclass(frozen=True)
class Heads:
    """The heads of an attention layer, in units that are removed whole.

    Attributes:
        layer: The attention layer.
        num_units: Integer, heads of keys and values.
        repeats: Integer, how many heads of queries each of them has.
    """

    layer: keras.Layer
    num_units: int
    repeats: int = 1

    @property
    def has_gate(self):
        """Boolean. Keras has named it in two ways."""
        own = getattr(self.layer, "use_gate", False)
        return getattr(self.layer, "_use_gate", own)

    def attend(self, mask, query, value, key=None, attention_mask=None, **options):
        """Returns what the heads return, shape `(batch, ..., heads, value_dim)`.

        Args:
            mask: A `Mask` of the units, or `None`.
            query: As the layer's argument.
            value: As the layer's argument.
            key: As the layer's argument.
            attention_mask: As the layer's argument.
            **options: Its other arguments.
        """
        # As the layer's own `call`, from its own parts, but without the output
        # projection.
        layer = self.layer
        key = value if key is None else key
        attention_mask = layer._compute_attention_mask(
            query,
            value,
            attention_mask=attention_mask,
            use_causal_mask=options.get("use_causal_mask", False),
        )
        keys, values = layer._key_dense(key), layer._value_dense(value)
        if self.repeats > 1:
            # A head of keys serves `repeats` neighbouring heads of queries.
            keys = ops.repeat(keys, self.repeats, axis=-2)
            values = ops.repeat(values, self.repeats, axis=-2)
        heads, _ = layer._compute_attention(
            layer._query_dense(query),
            keys,
            values,
            attention_mask=attention_mask,
            training=options.get("training"),
        )
        if self.has_gate:
            heads = heads * layer._gate_dense(query)
        return heads if mask is None else self.mask(heads, mask)

    def mask(self, heads, mask):
        """Masks what the heads return; all query heads of a unit alike."""
        shape = ops.shape(heads)
        # (..., units, entries of each): the query heads of a unit are neighbours.
        by_unit = ops.reshape(heads, (*shape[:-2], self.num_units, -1))
        # A mask is along the last axis.
        masked = ops.swapaxes(mask(ops.swapaxes(by_unit, -1, -2)), -1, -2)
        return ops.reshape(masked, shape)


class AttentionForm(LinearForm):
    """The output projection of an attention, on what its heads return.

    Args:
        heads: The `Heads` of the layer.
    """

    site = INSIDE

    def __init__(self, heads):
        self._heads = heads
        super().__init__(heads.layer)

    def find_channels(self):
        # The kernel (heads, value_dim, outputs) with its first two axes as one is the
        # matrix; all columns of a unit's heads are neighbours.
        num_heads, value_dim, _ = self.kernel_weight.shape
        num_units = self._heads.num_units
        return np.repeat(np.arange(num_units), num_heads * value_dim // num_units)

    @property
    def kernel_weight(self):
        return self.operation._output_dense.kernel

    @property
    def bias_weight(self):
        return self.operation._output_dense.bias

    def read(self, call, inputs, masks):
        """Returns what the heads return, side by side."""
        args, kwargs = call.fill_in(mask_inputs(inputs, masks))
        heads = self._heads.attend(None, *args, **kwargs)
        shape = [-1, *call.outputs[0].shape[1:-1], len(self.channel_of)]
        return tf.reshape(heads, [-1 if size is None else size for size in shape])

    def mask(self, inputs, mask):
        """Returns what `read` returned, without some heads."""
        shape, num_units = tf.shape(inputs), self._heads.num_units
        heads = tf.reshape(inputs, [*tf.unstack(shape[:-1]), num_units, -1])
        return tf.reshape(self._heads.mask(heads, mask), shape)

    def rows(self, inputs):
        return to_rows(inputs)

    def apply_kernel(self, inputs):
        kernel = tf.reshape(self.float_kernel(), [len(self.channel_of), -1])
        return tf.matmul(inputs, kernel)

    def count_positions(self, inputs):
        return math.prod(inputs.shape[1:-1])
