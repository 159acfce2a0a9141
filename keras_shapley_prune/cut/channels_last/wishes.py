"""Dense layers whose neurons become an image: in which order they are wanted."""

from keras_shapley_prune.layer_types.layouts.orders import channels_last, flat_rows
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.layer_types.stock.layouts import (
    is_dense,
    passes_rows,
    reshapes,
)


def find_wishes(graph):
    """Finds dense layers whose outputs are reshaped for layers in channels_first.

    As in a generator: if the neurons are in the order of the image with its channels
    last, it need not be transposed.

    Args:
        graph: A `Graph`.

    Returns:
        Dict: tensor that a dense layer returns -> the order of its entries, see
        `flat_rows`.
    """
    wishes = {}
    for call in graph.calls:
        shape = call.outputs[0].shape
        if not reshapes(call.operation) or len(call.inputs) != 1:
            continue
        if len(call.inputs[0].shape) != 2 or len(shape) < 3 or None in shape[1:]:
            continue
        source = _find_source(graph, call.inputs[0])
        if source is not None and _is_read_channels_first(graph, call.outputs[0]):
            wishes[source] = flat_rows(shape[1:], channels_last(len(shape)))
    return {tensor: rows for tensor, rows in wishes.items() if rows is not None}


def _find_source(graph, tensor):
    """Returns what a dense layer returns that becomes a tensor, entry by entry."""
    readers = graph.consumers()
    while tensor in graph.producers and tensor not in graph.outputs:
        call = graph.producers[tensor]
        if len(readers[tensor]) > 1 or len(graph.calls_of(call.operation)) > 1:
            return None
        if is_dense(call.operation):
            return tensor
        if not passes_rows(call.operation) or len(call.inputs) != 1:
            return None
        tensor = call.inputs[0]
    return None


def _is_read_channels_first(graph, tensor):
    """Returns whether the next layer with a data format has channels_first."""
    for call in graph.consumers().get(tensor, ()):
        if find_data_format(call.operation) == "channels_first":
            return True
        if passes_rows(call.operation) and _is_read_channels_first(
            graph, call.outputs[0]
        ):
            return True
    return False
