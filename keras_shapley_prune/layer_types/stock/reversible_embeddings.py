"""The embedding that also reads what it returns, as language models end with."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.layer_type import LayerType, count_positions
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.constants import name_arguments
from keras_shapley_prune.layer_types.unit_ids import count_kept, no_units


class ReversibleEmbeddingType(LayerType):
    """A `ReversibleEmbedding`. Letter "e": the features of an embedding.

    Called in reverse it reads these features and returns a number for each entry of the
    vocabulary, which is no channel.
    """

    ties_inputs = False  # numbers of the vocabulary in one call, features in another

    def flow(self, call, channels):
        features = channels.produce(call, "e", call.operation.output_dim)
        if not _is_reverse(call):
            reason = f"{channels.quote(call)} reads it as numbers to look up"
            channels.lock(channels.ids(call.inputs[0]), reason)
            return features
        channels.consume(call, 0)
        read = channels.ids(call.inputs[0])
        channels.tie(features, read, f"{channels.quote(call)} joins it with channels")
        return no_units(call.outputs[0])

    def weights(self, operation):
        return {"embeddings": ".e", "reverse_embeddings": "e."}

    def resize(self, config, kept):
        config["output_dim"] = count_kept(kept["e"])

    def products(self, call):
        if not _is_reverse(call):
            return []
        operation = call.operation
        shape = operation.output_dim, operation.input_dim
        return [("e.", shape, count_positions(call.inputs[0].shape[1:-1]))]


def _is_reverse(call):
    return bool(np.all(name_arguments(call).get("reverse", False)))


if hasattr(layers, "ReversibleEmbedding"):  # since Keras 3.12
    LAYER_TYPES[layers.ReversibleEmbedding] = ReversibleEmbeddingType()
