"""Attention: whole heads are units inside of the layer."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.layer_type import LayerType, count_positions
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.attention_heads import AttentionForm, Heads
from keras_shapley_prune.layer_types.stock.constants import name_arguments
from keras_shapley_prune.layer_types.unit_ids import INSIDE, count_kept


class MultiHeadAttentionType(LayerType):
    """A `MultiHeadAttention`: each head is a unit.

    Letters "q", "k" and "v" are the channels of what is projected, "h" the units, and
    "n" the query heads where a unit has several.
    """

    # Keras does it so that the layers in it do not warn of the mask.
    ends_time_masks = True

    def heads(self, layer):
        """Returns the `Heads` of a layer."""
        return Heads(layer, layer.num_heads)

    def flow(self, call, channels):
        """Heads are produced and read inside; around them the layer mixes channels."""
        sources = _sources(call)
        for position, tensor in enumerate(call.inputs):
            if any(tensor is source for source in sources.values()):
                channels.consume(call, position)
            else:
                # Its last axis are positions to attend to, no channels.
                channels.lock(
                    channels.ids(tensor), f"{channels.quote(call)} is masked by it"
                )
        for letter, tensor in sources.items():
            channels.name(call, letter, channels.ids(tensor))
        num_units = self.heads(call.operation).num_units
        # The heads are read by the output projection, which is part of the layer.
        channels.enclose(call, channels.produce(call, "h", num_units, part="heads"))
        return channels.produce(call)

    def letters(self, call, ids):
        return {"n": np.repeat(ids["h"], self.heads(call.operation).repeats)}

    def weights(self, operation):
        heads = self.heads(operation)
        # Kernels of projections are (channels, heads, size of a head), that of the
        # output is (heads, size of a head, outputs). Biases have no input axis.
        letter = "h" if heads.repeats == 1 else "n"
        found = [
            (operation._query_dense, f"q{letter}.", f"{letter}."),
            (operation._key_dense, "kh.", "h."),
            (operation._value_dense, "vh.", "h."),
            (operation._output_dense, f"{letter}.o", "o"),
        ]
        if heads.has_gate:
            found.append((operation._gate_dense, f"q{letter}.", f"{letter}."))
        biases = found if operation.use_bias else []
        return [
            *((dense.kernel, letters) for dense, letters, _ in found),
            *((dense.bias, letters) for dense, _, letters in biases),
        ]

    def resize(self, config, kept):
        config["num_heads"] = count_kept(kept["h"])
        num_outputs = count_kept(kept["o"])
        # Without an output shape the layer returns as many channels as its query has.
        if config["output_shape"] or num_outputs != count_kept(kept["q"]):
            config["output_shape"] = (num_outputs,)

    def unfit(self, call):
        named = name_arguments(call)
        if named.get("return_attention_scores"):
            return "returns its attention scores"
        if any(name in named for name in ("query_mask", "value_mask", "key_mask")):
            return "is given masks of its inputs"
        if len(getattr(call.operation, "_output_shape", None) or ()) > 1:
            return "returns channels on more than one axis"
        return find_time_mask(call)

    def masked(self, operation, masks, *args, **kwargs):
        heads = self.heads(operation).attend(masks.get(INSIDE), *args, **kwargs)
        return operation._output_dense(heads)

    def add_bias(self, config):
        return False  # its setting is for all of its projections

    def linear_form(self, operation):
        return AttentionForm(self.heads(operation))

    def projection(self, call, position):
        """The kernels under which queries, keys or values are made of an input."""
        read, sources = call.inputs[position], _sources(call)
        # The letters of the output's kernel begin with the heads': it is not among
        # them.
        kernels = [
            keras.ops.convert_to_numpy(kernel).reshape(read.shape[-1], -1)
            for kernel, letters in self.weights(call.operation)
            if len(letters) == 3 and sources.get(letters[0]) is read
        ]
        return np.concatenate(kernels, axis=1)

    def products(self, call):
        """The projections, and queries with keys, and scores with values."""
        layer, sources = call.operation, _sources(call)
        positions = {k: count_positions(x.shape[1:-1]) for k, x in sources.items()}
        axes = getattr(layer, "attention_axes", (1,))
        attended = count_positions(sources["k"].shape[axis] for axis in axes)
        if None in positions.values() or attended is None:
            return [(None, (), None)]
        found = [
            # The output projection, whose letters begin with the heads', is on queries.
            (letters, kernel.shape, positions.get(letters[0], positions["q"]))
            for kernel, letters in self.weights(layer)
            if len(kernel.shape) == 3
        ]
        heads = self.heads(layer)
        # For each head, query and attended position: a product of a query with a key,
        # and of a score with a value.
        size = layer._query_dense.kernel.shape[-1] + layer._value_dense.kernel.shape[-1]
        pairs = heads.repeats * positions["q"] * attended
        return [*found, ("h", (heads.num_units,), pairs * size)]


class GroupQueryAttentionType(MultiHeadAttentionType):
    """A `GroupQueryAttention`: a unit is a head of keys with its heads of queries."""

    ends_time_masks = False

    def heads(self, layer):
        return Heads(layer, layer.num_key_value_heads, layer.num_repeats)

    def flow(self, call, channels):
        outputs, sources = super().flow(call, channels), _sources(call)
        # Keras wants queries, values and outputs of as many channels.
        what = "needs queries, values and outputs alike, and ties it to channels"
        reason = f"{channels.quote(call)} {what}"
        for ids in (outputs, channels.ids(sources["v"])):
            channels.tie(channels.ids(sources["q"]), ids, reason)
        return outputs

    def resize(self, config, kept):
        config["num_key_value_heads"] = count_kept(kept["h"])
        config["num_query_heads"] = count_kept(kept["n"])


def _sources(call):
    """Returns what is projected: dict of `"q"`, `"k"` and `"v"` -> tensor."""
    named = name_arguments(call)
    value = named["value"]
    return {"q": named["query"], "k": named.get("key", value), "v": value}


def find_time_mask(call):
    """Returns the `unfit` reason of a call whose input carries a mask of time steps.

    Such a mask, of `Embedding(mask_zero=True)` or `Masking`, is a tensor of the graph
    for a layer that reads one sequence. For one that reads several it is an attribute
    of a tensor, and would be lost where a part of the network is run.
    """
    for node in call.operation._inbound_nodes:
        for tensor in node.input_tensors:
            if getattr(tensor, "_keras_mask", None) is not None:
                return "reads a sequence with a mask of time steps"
    return None


LAYER_TYPES[layers.MultiHeadAttention] = MultiHeadAttentionType()
LAYER_TYPES[layers.GroupQueryAttention] = GroupQueryAttentionType()
