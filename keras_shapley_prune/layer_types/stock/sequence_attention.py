"""Attention without projections: the channels of queries and keys are summed over."""

from keras import layers

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.attention import find_time_mask
from keras_shapley_prune.layer_types.stock.constants import name_arguments


class SequenceAttentionType(LayerType):
    """An `Attention` or `AdditiveAttention` of `[query, value]`, or with keys too.

    Queries and keys are read where a score sums over their channels, and those are tied
    to each other. The channels of the values go on. A removed channel, zero in queries
    and keys alike, adds nothing to a score, also where it is a sum of `tanh(q + k)`.

    Args:
        weights: Dict, see `LayerType.weights`.
    """

    def __init__(self, weights):
        self._weights = weights

    def flow(self, call, channels):
        reason = f"{channels.quote(call)} multiplies it with channels"
        value = channels.ids(call.inputs[1])
        keys = channels.ids(call.inputs[-1])  # the values, unless there are keys
        channels.tie(channels.ids(call.inputs[0]), keys, reason)
        channels.consume(call, 0)
        if len(call.inputs) == 3:
            channels.consume(call, 2)
        else:
            channels.observe(call, 1)
        return value

    def weights(self, operation):
        return self._weights

    def unfit(self, call):
        named = name_arguments(call)
        if named.get("return_attention_scores"):
            return "returns its attention scores"
        if named.get("mask") is not None:
            return "is given masks of its inputs"
        return find_time_mask(call)

    def products(self, call):
        """Queries with keys, and scores with values."""
        query, value = call.inputs[0].shape[1:], call.inputs[1].shape[1:]
        # An axis of the query, of the value, and the channels that are summed or kept.
        pairs = query[-2], value[-2]
        if None in pairs:
            return [(None, (), None)]
        uses = pairs[0] * pairs[1]
        return [
            (((place, len(call.inputs[place].shape) - 1),), (width,), uses)
            for place, width in ((0, query[-1]), (1, value[-1]))
        ]


LAYER_TYPES[layers.Attention] = SequenceAttentionType(
    {"scale": "", "concat_score_weight": ""}
)
LAYER_TYPES[layers.AdditiveAttention] = SequenceAttentionType({"scale": "i"})
