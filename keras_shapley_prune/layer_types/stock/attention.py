"""Attention: whole heads are units inside of the layer."""

import math

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.registry import SPECS, LayerSpec
from keras_shapley_prune.layer_types.stock.attention_heads import (
    AttentionForm,
    attend,
    count_units,
    has_gate,
)
from keras_shapley_prune.layer_types.stock.call_arguments import name_arguments
from keras_shapley_prune.layer_types.stock.time_masks import find_time_mask
from keras_shapley_prune.layer_types.unit_ids import INSIDE


def _sources(call):
    """Returns what is projected: dict of `"q"`, `"k"` and `"v"` -> tensor."""
    named = name_arguments(call)
    value = named["value"]
    return {"q": named["query"], "k": named.get("key", value), "v": value}


def _flow(call, channels):
    """Heads are produced and read inside; around them the layer mixes channels."""
    sources = _sources(call)
    for position, tensor in enumerate(call.inputs):
        if any(tensor is source for source in sources.values()):
            channels.consume(call, position)
        else:
            channels.lock(
                channels.ids(tensor), f"{channels.quote(call)} is masked by it"
            )
    for letter, tensor in sources.items():
        channels.name(call, letter, channels.ids(tensor))
    num_units, _ = count_units(call.operation)
    channels.enclose(call, channels.produce(call, "h", num_units, part="heads"))
    outputs = channels.produce(call)
    if isinstance(call.operation, layers.GroupQueryAttention):
        reason = f"{channels.quote(call)} returns as many channels as it reads"
        for ids in (outputs, channels.ids(sources["v"])):
            channels.tie(channels.ids(sources["q"]), ids, reason)
    return outputs


def _letters(call, ids):
    _, repeats = count_units(call.operation)
    return {"n": np.repeat(ids["h"], repeats)}


def _weights(layer):
    _, repeats = count_units(layer)
    heads = "h" if repeats == 1 else "n"
    found = [
        (layer._query_dense, f"q{heads}.", f"{heads}."),
        (layer._key_dense, "kh.", "h."),
        (layer._value_dense, "vh.", "h."),
        (layer._output_dense, f"{heads}.o", "o"),
    ]
    if has_gate(layer):
        found.append((layer._gate_dense, f"q{heads}.", f"{heads}."))
    kernels = [(dense.kernel, letters) for dense, letters, _ in found]
    return kernels + [(d.bias, letters) for d, _, letters in found if layer.use_bias]


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


def _mask_heads(layer, masks, *args, **kwargs):
    """The masked form of the attention layers."""
    return layer._output_dense(attend(layer, masks.get(INSIDE), *args, **kwargs))


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
    num_units, repeats = count_units(layer)
    size = layer._query_dense.kernel.shape[-1] + layer._value_dense.kernel.shape[-1]
    pairs = repeats * positions["q"] * attended
    return [*found, ("h", (num_units,), pairs * size)]


def _prod(sizes):
    return None if None in sizes else math.prod(sizes)


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
