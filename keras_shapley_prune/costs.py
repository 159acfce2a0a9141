"""What a network costs: parameters, FLOPs and measured latency."""

import math
import time

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.recording import record_graph


def count_flops(model):
    """Counts the floating-point operations of one example's inference.

    Counted are the multiplications and additions of all layers with a kernel
    (convolutions and dense layers), two for each kernel entry and position it is
    applied at. Normalizations, activations and pooling are not.

    Args:
        model: A built Sequential or functional `keras.Model`.

    Returns:
        Integer, or `None` if a spatial size is not known.
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
    kernels = count_kernel_uses(call)
    if any(uses is None for _, uses in kernels):
        return None
    return sum(2 * math.prod(kernel.shape) * uses for kernel, uses in kernels)


def count_kernel_uses(call):
    """Lists the kernels of a call, and at how many positions each is applied.

    Args:
        call: A recorded `Call`.

    Returns:
        List of tuples `(weight, integer)`, `None` where a size is not known. Empty
        for a model that is called as a layer.
    """
    if isinstance(call.operation, keras.Model):
        return []
    weights = getattr(call.operation, "weights", ())
    kernels = [weight for weight in weights if weight.name.endswith("kernel")]
    return [(kernel, _count_positions(call)) for kernel in kernels]


def estimate_cost(call):
    """Returns what a call costs about, in floating-point operations.

    To write (and read again) an element costs as much as some twenty of them.

    Args:
        call: A recorded `Call`.

    Returns:
        Integer, or `None` if a size is not known.
    """
    flops = count_call_flops(call)
    shapes = [tensor.shape[1:] for tensor in call.outputs]
    if flops is None or any(None in shape for shape in shapes):
        return None
    return flops + 20 * sum(math.prod(shape) for shape in shapes)


def _count_positions(call):
    """How many times the kernel of a call is applied to one example."""
    # A transposed convolution applies its kernel once for each input position.
    transposed = isinstance(call.operation, keras.layers.Conv2DTranspose)
    tensor = call.inputs[0] if transposed else call.outputs[0]
    positions = tensor.shape[1:-1]
    return None if None in positions else math.prod(positions)


def measure_latency(models, inputs, num_runs=30):
    """Measures the time of one inference of several models, taking turns.

    Args:
        models: List of `keras.Model`.
        inputs: What the models take, one batch.
        num_runs: Integer, how many timed runs of each model.

    Returns:
        List of floats: the median time of each model in seconds.
    """
    steps = [tf.function(lambda x, m=model: m(x, training=False)) for model in models]
    inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    for step in steps:  # trace, and warm up
        step(inputs)
        step(inputs)
    seconds = np.empty((num_runs, len(steps)))
    for run in range(num_runs):
        for position, step in enumerate(steps):
            start = time.perf_counter()
            keras.tree.map_structure(lambda tensor: tensor.numpy(), step(inputs))
            seconds[run, position] = time.perf_counter() - start
    return np.median(seconds, axis=0).tolist()
