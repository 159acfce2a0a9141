"""Attention: whole heads are units inside of the layer."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_shapley_prune.channel_map import INSIDE
from keras_shapley_prune.layer_specs import SPECS, LayerSpec
from keras_shapley_prune.linear_forms import LinearForm, to_rows
from keras_shapley_prune.masks import mask_inputs
from keras_shapley_prune.stock_layers.call_arguments import name_arguments
from keras_shapley_prune.stock_layers.time_masks import find_time_mask


def _sources(call):
    """Returns what is projected: dict of `"q"`, `"k"` and `"v"` -> tensor."""
    named = name_arguments(call)
    value = named["value"]
    return {"q": named["query"], "k": named.get("key", value), "v": value}


def _count_units(layer):
    """Returns the heads that can leave, and how many query heads each has."""
    if isinstance(layer, layers.MultiHeadAttention):
        return layer.num_heads, 1
    return layer.num_key_value_heads, layer.num_repeats


def _flow(call, channels):
    """Heads are produced and read inside; around them the layer mixes channels."""
    sources = _sources(call)
    for position, tensor in enumerate(call.inputs):
        if any(tensor is source for source in sources.values()):
            channels.consume(call, position)
        else:
            channels.lock(channels.ids(tensor), f"`{call.operation.name}` is masked by")
    for letter, tensor in sources.items():
        channels.name(call, letter, channels.ids(tensor))
    num_units, _ = _count_units(call.operation)
    channels.enclose(call, channels.produce(call, "h", num_units, part="heads"))
    outputs = channels.produce(call)
    if isinstance(call.operation, layers.GroupQueryAttention):
        reason = f"`{call.operation.name}` returns as many channels as it reads"
        for ids in (outputs, channels.ids(sources["v"])):
            channels.tie(channels.ids(sources["q"]), ids, reason)
    return outputs


def _letters(call, ids):
    _, repeats = _count_units(call.operation)
    return {"n": np.repeat(ids["h"], repeats)}


def _weights(layer):
    _, repeats = _count_units(layer)
    heads = "h" if repeats == 1 else "n"
    found = [
        (layer._query_dense, f"q{heads}.", f"{heads}."),
        (layer._key_dense, "kh.", "h."),
        (layer._value_dense, "vh.", "h."),
        (layer._output_dense, f"{heads}.o", "o"),
    ]
    if _has_gate(layer):
        found.append((layer._gate_dense, f"q{heads}.", f"{heads}."))
    kernels = [(dense.kernel, letters) for dense, letters, _ in found]
    return kernels + [(d.bias, letters) for d, _, letters in found if layer.use_bias]


def _has_gate(layer):
    return getattr(layer, "_use_gate", getattr(layer, "use_gate", False))


def _resize(config, kept):
    config["num_heads"] = int(np.count_nonzero(kept["h"]))
    num_outputs = int(np.count_nonzero(kept["o"]))
    if config["output_shape"] or num_outputs != np.count_nonzero(kept["q"]):
        config["output_shape"] = (num_outputs,)


def _resize_groups(config, kept):
    config["num_key_value_heads"] = int(np.count_nonzero(kept["h"]))
    config["num_query_heads"] = int(np.count_nonzero(kept["n"]))


def _unfit(call):
    named = name_arguments(call)
    if named.get("return_attention_scores"):
        return "returns its attention scores"
    if any(name in named for name in ("query_mask", "value_mask", "key_mask")):
        return "is given masks of its inputs"
    if len(getattr(call.operation, "_output_shape", None) or ()) > 1:
        return "returns channels on more than one axis"
    return find_time_mask(call)


def _attend(layer, mask, query, value, key=None, attention_mask=None, **options):
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
    num_units, repeats = _count_units(layer)
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
    if _has_gate(layer):
        heads = heads * layer._gate_dense(query)
    return heads if mask is None else _mask_units(heads, num_units, mask)


def _mask_units(heads, num_units, mask):
    """Masks what the heads return; all query heads of a unit alike."""
    shape = ops.shape(heads)
    by_unit = ops.reshape(heads, (*shape[:-2], num_units, -1))
    # A mask is along the last axis.
    masked = ops.swapaxes(mask(ops.swapaxes(by_unit, -1, -2)), -1, -2)
    return ops.reshape(masked, shape)


def _mask_heads(layer, masks, *args, **kwargs):
    """The masked form of the attention layers."""
    return layer._output_dense(_attend(layer, masks.get(INSIDE), *args, **kwargs))


def _project(call, position):
    """The kernels under which queries, keys or values are made of an input."""
    read = call.inputs[position]
    kernels = [
        keras.ops.convert_to_numpy(kernel)
        for kernel, letters in _weights(call.operation)
        if len(letters) == 3 and _sources(call).get(letters[0]) is read
    ]
    return np.concatenate([kernel.reshape(read.shape[-1], -1) for kernel in kernels], 1)


def _products(call):
    """The projections, and the products of queries with keys and scores with values."""
    layer, sources = call.operation, _sources(call)
    positions = {letter: _prod(x.shape[1:-1]) for letter, x in sources.items()}
    axes = getattr(layer, "attention_axes", (1,))
    attended = _prod([sources["k"].shape[axis] for axis in axes])
    if None in positions.values() or attended is None:
        return [(None, (), None)]
    found = [
        # The output projection, whose letters begin with the heads', is on queries.
        (letters, kernel.shape, positions.get(letters[0], positions["q"]))
        for kernel, letters in _weights(layer)
        if len(kernel.shape) == 3
    ]
    num_units, repeats = _count_units(layer)
    size = layer._query_dense.kernel.shape[-1] + layer._value_dense.kernel.shape[-1]
    pairs = repeats * positions["q"] * attended
    return [*found, ("h", (num_units,), pairs * size)]


def _prod(sizes):
    return None if None in sizes else math.prod(sizes)


class AttentionForm(LinearForm):
    """The output projection of an attention, on what its heads return."""

    site = INSIDE

    def _find_channels(self):
        num_heads, value_dim, _ = self._kernel.shape
        num_units, _ = _count_units(self.operation)
        return np.repeat(np.arange(num_units), num_heads * value_dim // num_units)

    @property
    def _kernel(self):
        return self.operation._output_dense.kernel

    @property
    def bias(self):
        """Float array, shape `(num_outputs,)`, or `None`."""
        bias = self.operation._output_dense.bias
        return None if bias is None else keras.ops.convert_to_numpy(bias)

    def assign_bias(self, bias):
        """Sets the bias of the output projection."""
        self.operation._output_dense.bias.assign(bias)

    def read(self, call, inputs, masks):
        """Returns what the heads return, side by side."""
        args, kwargs = call.fill_in(mask_inputs(inputs, masks))
        heads = _attend(call.operation, None, *args, **kwargs)
        shape = [-1, *call.outputs[0].shape[1:-1], len(self.channel_of)]
        return tf.reshape(heads, [-1 if size is None else size for size in shape])

    def mask(self, inputs, mask):
        """Returns what `read` returned, without some heads."""
        num_units, _ = _count_units(self.operation)
        shape = tf.shape(inputs)
        heads = tf.reshape(inputs, [*tf.unstack(shape[:-1]), num_units, -1])
        return tf.reshape(_mask_units(heads, num_units, mask), shape)

    def rows(self, inputs):
        return to_rows(inputs)

    def apply(self, inputs):
        """Returns `rows(inputs) @ matrix + bias` the fast way."""
        kernel = tf.reshape(self._float_kernel(), [len(self.channel_of), -1])
        outputs = tf.matmul(tf.cast(inputs, tf.float32), kernel)
        bias = self.operation._output_dense.bias
        return outputs if bias is None else outputs + tf.cast(bias, tf.float32)

    def activate(self, outputs):
        """Returns what the layer returns: there is no activation."""
        return keras.ops.cast(outputs, self.operation.compute_dtype)


SPECS[layers.MultiHeadAttention] = LayerSpec(
    _flow,
    size=_resize,
    weights=_weights,
    letters=_letters,
    unfit=_unfit,
    linear_form=AttentionForm,
    projection=_project,
    masked=_mask_heads,
    products=_products,
)
SPECS[layers.GroupQueryAttention] = LayerSpec(
    _flow,
    size=_resize_groups,
    weights=_weights,
    letters=_letters,
    unfit=_unfit,
    linear_form=AttentionForm,
    projection=_project,
    masked=_mask_heads,
    products=_products,
)
