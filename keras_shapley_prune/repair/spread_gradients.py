"""Gradients of a batch, of which each device of each worker looks at a slice."""

import math

import tensorflow as tf

from keras_shapley_prune.devices.workers import LONGEST_WAIT


def spread_gradients(find, is_divisible=True):
    """Returns a callable that finds gradients on all devices of the strategy in scope.

    Each device takes a slice of the batch, and one all-reduce adds up what all have
    found. A batch that does not divide evenly is cut into slices of two sizes.

    Args:
        find: Callable of a list of input tensors that returns a list: the gradients of
            a mean over the examples, float32 tensors, or `None` for variables that
            change nothing. It is called while a `tf.function` is traced.
        is_divisible: Boolean, whether a slice of a batch can be run for itself. Where
            it cannot, each device runs all of it.

    Returns:
        `find` itself without a strategy.
    """
    if not tf.distribute.has_strategy():
        return find
    strategy = tf.distribute.get_strategy()
    count = strategy.num_replicas_in_sync
    options = tf.distribute.experimental.CommunicationOptions(
        timeout_seconds=LONGEST_WAIT
    )

    def find_on_replicas(inputs):
        known = []  # of each variable, whether it has a gradient

        def find_on_one():
            context = tf.distribute.get_replica_context()
            part, weight = inputs, 1 / count
            if is_divisible and count > 1:
                number = tf.cast(context.replica_id_in_sync_group, tf.int32)
                part, weight = _slice(inputs, number, count)
            found = find(part)
            known[:] = [gradient is not None for gradient in found]
            found = [gradient for gradient in found if gradient is not None]
            if count == 1:
                return found
            # One vector: each array of its own would be an all-reduce of its own.
            vector = tf.concat([tf.reshape(g, [-1]) for g in found], axis=0)
            vector = tf.identity(weight * vector)
            operation = tf.distribute.ReduceOp.SUM
            total = context.all_reduce(operation, vector, options=options)
            parts = tf.split(total, [math.prod(g.shape) for g in found])
            return [tf.reshape(p, g.shape) for p, g in zip(parts, found, strict=True)]

        returned = strategy.run(find_on_one)
        found = iter(strategy.experimental_local_results(returned)[0])
        return [next(found) if is_known else None for is_known in known]

    return tf.autograph.experimental.do_not_convert(find_on_replicas)


def _slice(inputs, number, count):
    """Returns a device's slice of a batch, and the share that it is of it."""
    size = inputs[0].shape[0]
    start, stop = number * size // count, (number + 1) * size // count
    weight = tf.cast(stop - start, tf.float32) / size
    # A batch of no examples is not what layers expect: one that counts for nothing.
    return [tensor[start : tf.maximum(stop, start + 1)] for tensor in inputs], weight
