"""What the heads of an attention return, and the projection that reads it."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune.layer_types.linear_forms import LinearForm, to_rows
from keras_shapley_prune.layer_types.masked_calls import mask_inputs
from keras_shapley_prune.layer_types.unit_ids import INSIDE


def count_units(layer):
    """Returns the heads that can leave, and how many query heads each has."""
    if isinstance(layer, layers.MultiHeadAttention):
        return layer.num_heads, 1
    return layer.num_key_value_heads, layer.num_repeats


def has_gate(layer):
    return getattr(layer, "_use_gate", getattr(layer, "use_gate", False))


def attend(layer, mask, query, value, key=None, attention_mask=None, **options):
    """Returns what the heads return, shape `(batch, ..., heads, value_dim)`.

    Args:
        layer: The attention layer.
        mask: A `Mask` of the units, or `None`.
        query: As the layer's argument.
        value: As the layer's argument.
        key: As the layer's argument.
        attention_mask: As the layer's argument.
        **options: Its other arguments.
    """
    key = value if key is None else key
    attention_mask = layer._compute_attention_mask(
        query,
        value,
        attention_mask=attention_mask,
        use_causal_mask=options.get("use_causal_mask", False),
    )
    num_units, repeats = count_units(layer)
    keys, values = layer._key_dense(key), layer._value_dense(value)
    if repeats > 1:
        keys, values = (ops.repeat(x, repeats, axis=-2) for x in (keys, values))
    heads, _ = layer._compute_attention(
        layer._query_dense(query),
        keys,
        values,
        attention_mask=attention_mask,
        training=options.get("training"),
    )
    if has_gate(layer):
        heads = heads * layer._gate_dense(query)
    return heads if mask is None else mask_units(heads, num_units, mask)


def mask_units(heads, num_units, mask):
    """Masks what the heads return; all query heads of a unit alike."""
    shape = ops.shape(heads)
    by_unit = ops.reshape(heads, (*shape[:-2], num_units, -1))
    # A mask is along the last axis.
    masked = ops.swapaxes(mask(ops.swapaxes(by_unit, -1, -2)), -1, -2)
    return ops.reshape(masked, shape)


class AttentionForm(LinearForm):
    """The output projection of an attention, on what its heads return."""

    site = INSIDE

    def _find_channels(self):
        num_heads, value_dim, _ = self._kernel.shape
        num_units, _ = count_units(self.operation)
        return np.repeat(np.arange(num_units), num_heads * value_dim // num_units)

    @property
    def _kernel(self):
        return self.operation._output_dense.kernel

    @property
    def _bias(self):
        return self.operation._output_dense.bias

    def read(self, call, inputs, masks):
        """Returns what the heads return, side by side."""
        args, kwargs = call.fill_in(mask_inputs(inputs, masks))
        heads = attend(call.operation, None, *args, **kwargs)
        shape = [-1, *call.outputs[0].shape[1:-1], len(self.channel_of)]
        return tf.reshape(heads, [-1 if size is None else size for size in shape])

    def mask(self, inputs, mask):
        """Returns what `read` returned, without some heads."""
        num_units, _ = count_units(self.operation)
        shape = tf.shape(inputs)
        heads = tf.reshape(inputs, [*tf.unstack(shape[:-1]), num_units, -1])
        return tf.reshape(mask_units(heads, num_units, mask), shape)

    def rows(self, inputs):
        return to_rows(inputs)

    def apply_kernel(self, inputs):
        kernel = tf.reshape(self._float_kernel(), [len(self.channel_of), -1])
        return tf.matmul(inputs, kernel)

    def count_positions(self, inputs):
        return math.prod(inputs.shape[1:-1])

    def activate(self, outputs):
        """Returns what the layer returns: there is no activation."""
        return keras.ops.cast(outputs, self.operation.compute_dtype)
