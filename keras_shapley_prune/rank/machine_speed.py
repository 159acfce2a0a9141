"""What this machine takes for the operations that rankings are made of."""

import functools
import math
import time

import numpy as np
import scipy.linalg
import tensorflow as tf

from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.trace.graph import run_calls
from keras_shapley_prune.trace.segments import batch_spec

_FEW_CALLS = 12  # of a network are traced, to see how long the others will take
_COMPILING = 1.3  # times as long as tracing: functions are optimized, too


class MachineSpeed:
    """Seconds of operations, from the shortest of a few runs of small ones.

    Attributes:
        flops: Float, floating-point operations a second of a convolution.
        elements: Float, elements a second that a layer without products returns.
        depthwise: Float, elements a second that a depthwise convolution returns.
        moments: Float, operations a second of a product of float32 matrices with
            themselves.
        factoring: Float, operations a second of a large Cholesky factorization.
        small_factoring: Float, seconds of a small one, with the triangular solve.
    """

    def __init__(self):
        small, wide = tf.ones([8, 16, 16, 64]), tf.ones([8, 24, 24, 96])
        kernel, taps = tf.ones([3, 3, 64, 64]), tf.ones([3, 3, 96, 1])
        returned = math.prod(small.shape)
        spent = _time(lambda: tf.nn.conv2d(small, kernel, 1, "SAME"))
        self.flops = 2 * 9 * 64 * returned / spent
        spent = _time(lambda: tf.nn.depthwise_conv2d(wide, taps, [1, 1, 1, 1], "SAME"))
        self.depthwise = math.prod(wide.shape) / spent
        self.elements = 2 * returned / _time(lambda: tf.nn.relu(small * small))
        rows = np.ones([2048, 256], "float32")
        self.moments = 2 * rows.size * 256 / _time(lambda: rows.T @ rows)
        self.factoring = 384**3 / 3 / _time(lambda: _factor(384))
        self.small_factoring = _time(lambda: _factor(16))

    def seconds_of(self, call, size):
        """Returns the seconds of one call in a compiled function, for one example.

        Args:
            call: A recorded `Call`.
            size: Integer, the length of an axis whose length is not known.
        """
        elements = sum(
            math.prod(n or size for n in tensor.shape[1:]) for tensor in call.outputs
        )
        flops = count_call_flops(call) or 0
        # A depthwise convolution has few operations an element, and is slow in each.
        weights = getattr(call.operation, "depthwise_kernel", None)
        weights = weights if weights is not None else _depthwise_kernel(call)
        seconds = elements / (self.elements if weights is None else self.depthwise)
        return seconds + flops / self.flops


def _depthwise_kernel(call):
    name = type(innermost(call.operation)).__name__
    return getattr(call.operation, "kernel", None) if "Depthwise" in name else None


@functools.cache
def measure_speed():
    """Returns the `MachineSpeed`, measured once, in about a twentieth of a second."""
    return MachineSpeed()


def time_tracing(graph, inputs):
    """Returns the seconds that it takes to compile a call of a network.

    The first few calls are traced: it would take seconds to trace all.

    Args:
        graph: The recorded `Graph`.
        inputs: List of input tensors, one batch.
    """
    specs = [batch_spec(*pair) for pair in zip(graph.inputs, inputs, strict=True)]
    spent = []
    # What is imported and looked up at first use does not count.
    for calls in (graph.calls[:2], graph.calls[:_FEW_CALLS]):

        def run(*inputs, calls=calls):
            values = graph.feed(inputs)
            run_calls(calls, values)
            return [values[tensor] for call in calls for tensor in call.outputs]

        start = time.perf_counter()
        tf.function(run, autograph=False).get_concrete_function(*specs)
        spent.append((time.perf_counter() - start) / len(calls))
    return _COMPILING * min(spent)


def _factor(size):
    matrix = np.eye(size)
    factor = scipy.linalg.lapack.dpotrf(matrix, lower=1)[0]
    scipy.linalg.blas.dtrsm(1.0, factor, matrix[:, :1], lower=1)


def _time(run):
    """Returns the seconds of the fastest of a few runs, the first one not counted."""
    run()
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    # Other programs can only make it longer.
    return min(spent)
