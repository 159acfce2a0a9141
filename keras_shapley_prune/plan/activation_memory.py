"""How much memory the activations of a network take, counted from its graph."""

import math

import tensorflow as tf

from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.tracer import trace_channels


@undisturbed
def count_activation_bytes(model, input_shape=None):
    """Counts the bytes of activations that one example's inference needs at its peak.

    The calls of the graph run one after the other, in the order in which they were
    recorded. While a call runs, these tensors are alive: what it reads, what it
    returns, and what has been computed before if a later call (or the caller of the
    model) still reads it. The peak is the largest sum of their sizes. Every tensor
    counts by itself: nothing is computed in place, and a `Flatten` counts like a copy.
    Weights, and what a kernel needs inside, are not counted. So it is a figure to
    compare networks by, not what the process will allocate.

    Args:
        model: A built Sequential or functional `keras.Model`.
        input_shape: The shape of one example, for a model that takes any size, see
            `count_flops`.

    Returns:
        Integer, bytes for each example of a batch, or `None` if a size is not known.

    Raises:
        ValueError: If `model` is not built or has no graph of layers.

    Example:

    ```python
    keras_shapley_prune.count_activation_bytes(model)
    ```
    """
    return count_peak_bytes(give_sizes(trace_channels(model).graph, input_shape))


def count_peak_bytes(graph):
    """Counts the peak of a recorded graph, see `count_activation_bytes`.

    Args:
        graph: A `Graph`.

    Returns:
        Integer, or `None`.
    """
    graph = graph.sized
    sizes = {tensor: _count_bytes(tensor) for tensor in graph.inputs}
    for call in graph.calls:
        sizes.update({tensor: _count_bytes(tensor) for tensor in call.outputs})
    if None in sizes.values():
        return None
    # Inputs are alive from the start, though the first to read one may come late.
    alive = set(graph.inputs)
    peak = sum(sizes[tensor] for tensor in alive)
    for call in graph.calls:
        alive.update(call.outputs)
        peak = max(peak, sum(sizes[tensor] for tensor in alive))
        # An output that nothing reads takes memory while its call runs, then no more.
        alive = {t for t in alive if graph.last_uses.get(t, -1) > call.index}
    return peak


def _count_bytes(tensor):
    sizes = tensor.shape[1:]
    if None in sizes:
        return None
    return math.prod(sizes) * tf.as_dtype(tensor.dtype).size
