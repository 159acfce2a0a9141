"""What a network costs: its floating-point operations."""

import math

import keras

from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import give_sizes, sizes_of


@undisturbed
def count_flops(model, input_shape=None):
    """Counts the floating-point operations of one example's inference.

    The multiplications and additions of all layers with a kernel (convolutions, dense
    and recurrent layers), of attention and of products of two tensors are counted: two
    for each kernel entry and each position at which it is applied. Normalizations,
    activations and pooling are not counted.

    Args:
        model: A built Sequential or functional `keras.Model`.
        input_shape: Tuple of integers, the shape of one example, without the batch, for
            a model that takes any size, such as `keras.Input((None, None, 3))`; a list
            or a dict of them for several inputs. `None` for the sizes of the model's
            own inputs.

    Returns:
        Integer, or `None` if a spatial size is not known.

    Raises:
        ValueError: If `model` is not built or has no graph of layers, or `input_shape`
            does not fit it.

    Example:

    ```python
    before, after = map(keras_shapley_prune.count_flops, (model, pruned))
    print(f"{after / before:.1%} of the FLOPs are kept")
    ```
    """
    return count_graph_flops(give_sizes(record_graph(model), input_shape))


def count_graph_flops(graph):
    """Counts the operations of a recorded graph, see `count_flops`.

    Args:
        graph: A `Graph`.

    Returns:
        Integer, or `None`.
    """
    total = 0
    for call in graph.sized.calls:
        flops = count_call_flops(call)
        if flops is None:
            return None
        total += flops
    return total


def count_call_flops(call):
    """Counts the operations of one call, see `count_flops`."""
    if isinstance(call.operation, keras.Model):
        # Of its own `call` as well the layers are the work.
        graph = record_graph(call.operation, checked=False)
        shapes = sizes_of(call.inputs)
        known = len(shapes) == len(graph.inputs) and not any(None in s for s in shapes)
        return count_graph_flops(give_sizes(graph, shapes if known else None))
    products = count_products(call)
    if any(uses is None for _, _, uses in products):
        return None
    # Each entry is one multiplication and one addition.
    return sum(2 * math.prod(shape) * uses for _, shape, uses in products)


def count_products(call):
    """Lists what a call multiplies with: kernels, at as many positions.

    Args:
        call: A recorded `Call`.

    Returns:
        List of tuples, see `LayerType.products`. Empty for a model that is called as
        a layer.
    """
    if isinstance(call.operation, keras.Model):
        return []
    # A layer that is not registered is not pruned, but it computes: it counts as its
    # nearest registered parent would, or by the names of its weights alone.
    return find_nearest_type(call.operation).products(call)


def estimate_cost(call):
    """Returns about what a call costs, in floating-point operations.

    To write (and read again) an element costs as much as some twenty of them.

    Args:
        call: A recorded `Call`.

    Returns:
        Integer, or `None` if a size is not known.
    """
    # Most layers have no FLOPs by `count_flops`, and yet take time: that of memory.
    flops = count_call_flops(call)
    shapes = [tensor.shape[1:] for tensor in call.outputs]
    if flops is None or any(None in shape for shape in shapes):
        return None
    return flops + 20 * sum(math.prod(shape) for shape in shapes)
