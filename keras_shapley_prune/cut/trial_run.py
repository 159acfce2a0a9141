"""What a few examples show of a model, before anything that takes long."""

import dataclasses

from keras_shapley_prune.cut.copy_outputs import CopyCheck
from keras_shapley_prune.cut.masked_run import find_tolerance
from keras_shapley_prune.cut.random_calls import find_random_calls
from keras_shapley_prune.trace.batches import has_fixed_batch
from keras_shapley_prune.trace.sizes import give_sizes, sizes_of

FEW = 2  # examples: what draws at random does so for a single one


def try_out(channel_map, batches, stacklevel=4):
    """Looks which layers draw at random, and of which sizes the examples are.

    A `UserWarning` names the layers that draw. Layers of classes that are not Keras's
    are copied, and the copies have to return the same.

    Args:
        channel_map: The `ChannelMap` of the original.
        batches: List of lists of input tensors, one list a batch. The first one counts;
            without any, nothing is looked at.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls this.

    Returns:
        The same `ChannelMap`, of a `Graph` that knows both.

    Raises:
        ValueError: If the copy of a layer returns something else.
    """
    if not batches:
        return channel_map
    graph, first = channel_map.graph, batches[0]
    few = first if has_fixed_batch(graph) else [values[:FEW] for values in first]
    found = find_random_calls(graph, few, CopyCheck(find_tolerance(graph)))
    found.warn(stacklevel + 1)
    graph = give_sizes(graph, sizes_of(first))
    graph = dataclasses.replace(graph, unrepeatable=found.unrepeatable)
    return dataclasses.replace(channel_map, graph=graph)
