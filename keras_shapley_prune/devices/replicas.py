"""The devices of one process: a batch is divided among them."""

import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers


def on_replicas(function):
    """Returns a function that runs on all devices of this process at once.

    Where a strategy has several devices, each gets a slice of the batch. On a single
    device nothing is divided.

    Args:
        function: Callable of (nested) tensors that returns (nested) tensors, all with
            the batch first; examples are independent of each other.

    Returns:
        Callable of the same arguments.
    """

    def run(*tensors):
        # What is not compiled would run on one device after the other.
        if not tf.distribute.has_strategy() or tf.executing_eagerly():
            return function(*tensors)
        strategy, count = tf.distribute.get_strategy(), count_replicas()
        if count == 1:
            returned = strategy.run(function, args=tensors)
            return strategy.experimental_local_results(returned)[0]
        size = tf.shape(tf.nest.flatten(tensors)[0])[0]

        def run_slice():
            context = tf.distribute.get_replica_context()
            number = tf.cast(context.replica_id_in_sync_group, tf.int32) % count
            start, stop = _bounds(number, count, size)
            # A batch of no examples is not what layers expect: the result of one that
            # is too many is dropped.
            stop = tf.maximum(stop, start + 1)
            part = tf.nest.map_structure(lambda t: _take(t, start, stop), tensors)
            return function(*part)

        parts = strategy.experimental_local_results(strategy.run(run_slice))
        sizes = [tf.subtract(*_bounds(k, count, size)[::-1]) for k in range(count)]
        return tf.nest.map_structure(
            lambda *found: tf.concat(
                [part[:n] for part, n in zip(found, sizes, strict=True)], axis=0
            ),
            *parts,
        )

    return run


def count_replicas():
    """Returns how many devices of this process the strategy in scope has."""
    if not tf.distribute.has_strategy():
        return 1
    strategy = tf.distribute.get_strategy()
    return strategy.num_replicas_in_sync // current_workers().count


def _bounds(number, count, size):
    return number * size // count, (number + 1) * size // count


def _take(tensor, start, stop):
    # Layers need the static shape, which slicing by tensors keeps, but for the batch.
    return tensor[start:stop]
