"""What the outputs lose to first order, for all groups from a few backward passes.

If a layer returns `y + d` instead of `y`, the outputs `z` change by `J d`, with the
derivatives J. For a random vector v of signs, `E (v'J d)^2 = |J d|^2` (Hutchinson
1989), and `J'v` is one backward pass, for all layers at once. So the squared change of
the outputs is known for every depth of every group without running the network for any
of them. All positions of an example are added up before it is squared: what a later
pooling averages out costs nothing.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import run_masked
from keras_shapley_prune.trace.batches import count_bytes

NUM_VECTORS = (
    4  # for each example; more make costs no better, they differ more by images
)
MOST_BYTES = 2**28  # of what one batch holds
LARGEST_BATCH = 8


class OutputPass:
    """Passes of the original that see what a change of each reader does to the outputs.

    Args:
        graph: The recorded `Graph`.
        changes: Dict: group name -> list of its `ReaderChange`s.
        scale: The `OutputScale`.
        seed: Integer.
    """

    def __init__(self, graph, changes, scale, seed=0):
        self._graph, self._changes, self._scale = graph, changes, scale
        self._generator = np.random.default_rng(seed)
        self._readers = {}  # index of a call -> dict: key -> `Reader`
        for change in (change for found in changes.values() for change in found):
            index, _ = change.key
            self._readers.setdefault(index, {})[change.key] = change.reader
        self._step = tf.function(self._differentiate, reduce_retracing=True)

    def run(self, batches):
        """Returns the mean squared change of the outputs, at each depth.

        Args:
            batches: List of lists of input tensors, one list a batch.

        Returns:
            Dict: group name -> float array, one entry a depth.
        """
        totals, count = dict.fromkeys(self._changes, 0.0), 0
        size = self._size_of_batch(batches[0])
        for inputs in batches:
            for start in range(0, len(inputs[0]), size):
                some = [tensor[start : start + size] for tensor in inputs]
                count += len(some[0])
                self._add(totals, list(map(tf.convert_to_tensor, some)))
        return {name: total / count for name, total in totals.items()}

    def _size_of_batch(self, inputs):
        # What a reader returns has a derivative for each vector.
        held = (2 + NUM_VECTORS) * count_bytes(self._graph, inputs)
        return min(max(MOST_BYTES // held, 1), LARGEST_BATCH)

    def _add(self, totals, inputs):
        seed = int(self._generator.integers(2**31))
        read, derivatives = self._step(inputs, tf.constant([seed, 0]))
        for name, found in self._changes.items():
            squares = []
            for depth in range(len(found[0].changes)):
                dots = sum(
                    _apply(change, depth, read[change.key], derivatives[change.key])
                    for change in found
                )
                squares.append(np.sum(dots**2) / NUM_VECTORS)
            totals[name] = totals[name] + np.array(squares)

    def _differentiate(self, inputs, seed):
        """Returns what the readers read, and the derivatives of each vector by them."""
        read, seen = {}, {}
        with tf.GradientTape(persistent=True) as tape:
            values = self._graph.feed(inputs)
            for tensor in values.values():
                if tensor.dtype.is_floating:
                    tape.watch(tensor)
            for call in self._graph.calls:
                returned = self._run(call, call.read(values), read, seen)
                values.update(zip(call.outputs, returned, strict=True))
            outputs = self._scale(values)
            totals = [
                sum(
                    tf.reduce_sum(_signs(z, seed, (vector, place)) * z)
                    for place, z in enumerate(outputs)
                )
                for vector in range(NUM_VECTORS)
            ]
        gradients = [
            tape.gradient(total, seen, unconnected_gradients="zero") for total in totals
        ]
        return read, {key: tf.stack([g[key] for g in gradients]) for key in seen}

    def _run(self, call, inputs, read, seen):
        """Returns what a call returns, and takes down what a change of it acts on."""
        linear = None
        for key, reader in self._readers.get(call.index, {}).items():
            if reader.form is not None:
                linear = key, reader.form
                continue
            inputs[reader.position] = tf.identity(inputs[reader.position])
            seen[key] = read[key] = inputs[reader.position]
        if linear is None:
            return run_masked(call, inputs, {})
        key, form = linear
        read[key] = form.read(call, inputs, {})
        seen[key] = form.apply(read[key])
        return [form.activate(seen[key])]


def _signs(tensor, seed, key):
    """Returns random signs of the shape of a tensor, others for each key."""
    for number in key:
        seed = tf.random.experimental.stateless_fold_in(seed, number)
    drawn = tf.random.stateless_uniform(tf.shape(tensor), seed, 0, 2, tf.int32)
    return 2.0 * tf.cast(drawn, tf.float32) - 1.0


def _apply(change, depth, read, derivatives):
    """Returns `v'J d` of each vector and example, shape `(vectors, batch)`."""
    found = change.changes[depth]()
    matrix, bias = found[:-1], found[-1]
    if (form := change.reader.form) is None:
        different = tf.matmul(tf.cast(read, tf.float32), matrix)
    else:
        kernel = tf.constant(form.from_matrix(np.array(matrix)), tf.float32)
        # The layer's own operation, with another kernel for the moment.
        with keras.StatelessScope(state_mapping=[(form.kernel_weight, kernel)]):
            different = form.apply_kernel(tf.cast(read, tf.float32))
    different = different + bias
    axes = list(range(2, len(derivatives.shape)))
    return tf.reduce_sum(different * tf.cast(derivatives, tf.float32), axes).numpy()
