"""What a network costs: parameters, FLOPs and measured latency."""

import math
import time

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.trace.recording import record_graph


def count_flops(model):
    """Counts the floating-point operations of one example's inference.

    The multiplications and additions of all layers with a kernel (convolutions, dense
    and recurrent layers) and of attention are counted: two for each kernel entry and
    each position at which it is applied. Normalizations, activations and pooling are
    not counted.

    Args:
        model: A built Sequential or functional `keras.Model`.

    Returns:
        Integer, or `None` if a spatial size is not known.

    Raises:
        ValueError: If `model` is not built or has no graph of layers.

    Example:

    ```python
    before, after = map(keras_shapley_prune.count_flops, (model, pruned))
    print(f"{after / before:.1%} of the FLOPs are kept")
    ```
    """
    total = 0
    for call in record_graph(model).calls:
        flops = count_call_flops(call)
        if flops is None:
            return None
        total += flops
    return total


def count_call_flops(call):
    """Counts the operations of one call, see `count_flops`."""
    if isinstance(call.operation, keras.Model):
        return count_flops(call.operation)
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


def measure_latency(models, inputs, num_runs=30, max_seconds=None):
    """Measures the time of one inference of several models, taking turns.

    Each model is a `tf.function`, which is traced and run twice before anything is
    timed. Since the models take turns, other programs on the machine slow all of them.

    Args:
        models: List of `keras.Model`.
        inputs: What the models take, one batch. Its size is that of every run.
        num_runs: Integer, how many timed runs of each model.
        max_seconds: Float, or `None`: after so many seconds no other run is started,
            once each model has had three.

    Returns:
        List of floats: the median time of each model in seconds.

    Example:

    ```python
    seconds = keras_shapley_prune.measure_latency([model, pruned], images[:32])
    print(f"{seconds[0] / seconds[1]:.2f} times as fast")
    ```
    """
    steps = [tf.function(lambda x, m=model: m(x, training=False)) for model in models]
    inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    for step in steps:  # trace, and warm up
        step(inputs)
        step(inputs)
    # One run of each model after the other: what slows the machine slows them alike.
    seconds = []
    while len(seconds) < num_runs:
        if (
            max_seconds is not None
            and len(seconds) >= 3
            and np.sum(seconds) > max_seconds
        ):
            break
        seconds.append([_time(step, inputs) for step in steps])
    return np.median(seconds, axis=0).tolist()


def _time(step, inputs):
    # Reading the outputs as arrays waits until they have been computed.
    start = time.perf_counter()
    keras.tree.map_structure(lambda tensor: tensor.numpy(), step(inputs))
    return time.perf_counter() - start
