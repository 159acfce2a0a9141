"""What each worker and device has of a sum: run by `spread.py`."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.parts import Parts
from keras_shapley_prune.devices.replicas import count_replicas, on_replicas
from keras_shapley_prune.devices.workers import current_workers


def main():
    workers = current_workers()
    mine = np.array([workers.takes(number) for number in range(5)], float)
    taken, numbers = workers.sum(mine, np.array([[workers.index, np.inf]]))
    found = {
        "taken": taken,
        "numbers": numbers,
        "agreed": np.array(workers.agree(7.5 if workers.is_chief else np.nan)),
        "everyone": workers.gather(np.array([workers.index, 1])),
        "replicas": np.array(count_replicas()),
    }
    workers.check_same({"the data": "abc", "seed": 3})
    try:
        workers.check_same({"the data": "abc", "seed": workers.index})
    except ValueError as error:
        found["refused"] = np.array(str(error))
    for size in (1, 2, 3, 11):
        found[f"batch {size}"] = _run_batch(size)
    parts = Parts([5, 1, 2])
    found["rows"] = np.zeros(8)
    for batch, first in enumerate([0, 5, 6]):
        rows = parts.rows(batch)
        found["rows"][first + rows.start : first + rows.stop] = 1
    (found["rows"],) = workers.sum(found["rows"])
    return found


def _run_batch(size):
    """Returns twice each of some numbers, and where each was computed."""

    @tf.function(autograph=False)
    def run(numbers, others):
        def double(tensors):
            number, _ = tensors
            context = tf.distribute.get_replica_context()
            place = tf.cast(context.replica_id_in_sync_group, tf.float32)
            return 2 * number, place + tf.zeros(tf.shape(number)[0])

        return on_replicas(double)((numbers, others))

    numbers = tf.range(size, dtype=tf.float32)[:, None]
    doubled, places = run(numbers, numbers)
    return np.concatenate([doubled.numpy()[:, 0], places.numpy()])
