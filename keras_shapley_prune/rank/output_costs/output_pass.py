"""What the outputs lose to first order, for all groups from a few backward passes.

If a layer returns `y + d` instead of `y`, the outputs `z` change by `J d`, with the
derivatives J. For a random vector v of signs, `E (v'J d)^2 = |J d|^2` (Hutchinson
1989), and `J'v` is one backward pass, for all layers at once. So the squared change of
the outputs is known for every depth of every group without running the network for any
of them. All positions of an example are added up before it is squared: what a later
pooling averages out costs nothing.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.devices.parts import Parts
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.masked_calls import run_masked
from keras_shapley_prune.trace.batches import (
    SEEN_BYTES,
    count_bytes,
    has_fixed_batch,
    rebatch,
)
from keras_shapley_prune.trace.segments import batch_spec, is_worth_compiling

NUM_VECTORS = 8  # for each example: the more, the less plans differ by the seed


class OutputPass:
    """Passes of the original that see what a change of each reader does to the outputs.

    Args:
        graph: The recorded `Graph`.
        changes: Dict: group name -> list of its `ReaderChange`s.
        scale: The `OutputScale`.
        seed: Integer, of the random vectors.
    """

    def __init__(self, graph, changes, scale, seed=0):
        self._graph, self._changes, self._scale = graph, changes, scale
        self._generator = np.random.default_rng(seed)
        self._readers = {}  # index of a call -> dict: key -> `Reader`
        for change in (change for found in changes.values() for change in found):
            index, _ = change.key
            self._readers.setdefault(index, {})[change.key] = change.reader
        self._functions, self._workers = {}, current_workers()

    def run(self, batches, on_share=None, entry=None):
        """Returns the mean squared change of the outputs, at each depth.

        Args:
            batches: List of lists of input tensors, one list a batch.
            on_share: Callable `fn(share)`, called after each batch with its share of
                all examples, or `None`.
            entry: An `Entry` that holds the sums of the batches so far, or `None`.

        Returns:
            Dict: group name -> float array, one entry a depth.
        """
        entry = entry or Checkpoint().entry("costs")
        batches = rebatch(batches, self._graph, _held_bytes(self._graph, batches[0]))
        sizes = [len(inputs[0]) for inputs in batches]
        parts = Parts(sizes, not has_fixed_batch(self._graph), self._workers)
        compiled = is_worth_compiling(batches)
        num_stored, totals = self._read(entry, len(batches))
        for number, inputs in enumerate(batches):
            # Drawn for batches that are known, too: the next seed is that after it.
            seed = self._generator.integers(2**31)
            rows = parts.rows(number)
            if number >= num_stored:
                if rows.start < rows.stop:
                    self._add(totals, seed, inputs, rows, compiled)
                if (
                    self._workers.count > 1
                ):  # what is not stored yet is of this worker alone
                    continue
                entry.write_if_due(partial(_to_content, number + 1, totals))
            if on_share is not None:
                on_share(sizes[number] / sum(sizes))
        if num_stored < len(batches):
            sums = self._workers.sum(*totals.values())
            totals = dict(zip(totals, sums, strict=True))
            entry.write(_to_content(len(batches), totals))
        return {name: total / sum(sizes) for name, total in totals.items()}

    def _add(self, totals, seed, inputs, rows, compiled):
        """Adds what some rows of a batch make to the sums."""
        key = np.array([seed, 0, rows.start, len(inputs[0])], "int32")
        part = [tensor[rows] for tensor in inputs]
        found = self._differentiate(key, part, compiled)
        for name, changes in self._changes.items():
            totals[name] = totals[name] + _sum_squares(changes, *found)

    def _read(self, entry, num_batches):
        """Returns how many batches are in the sums that are stored, and the sums."""
        content = entry.read()
        if content is None or (
            # Of several workers each would count what one alone has begun.
            self._workers.count > 1 and content["num_batches"] < num_batches
        ):
            depths = {
                name: len(found[0].changes) for name, found in self._changes.items()
            }
            return 0, {name: np.zeros(count) for name, count in depths.items()}
        stored = [content[f"total.{place}"] for place in range(len(self._changes))]
        return content["num_batches"], dict(zip(self._changes, stored, strict=True))

    def _differentiate(self, key, inputs, compiled):
        """Returns what the readers read, and the derivatives of each vector by them."""
        inputs, key = list(map(tf.convert_to_tensor, inputs)), tf.constant(key)
        if not compiled:
            return self._run(key, *inputs)
        # A graph knows all lengths but that of the batch: some layers ask for them.
        signature = tuple((x.dtype, tuple(x.shape[1:])) for x in inputs)
        if signature not in self._functions:
            specs = map(batch_spec, self._graph.inputs, inputs)
            run = tf.function(self._run, autograph=False)
            found = run.get_concrete_function(tf.TensorSpec([4], tf.int32), *specs)
            self._functions[signature] = found
        return self._functions[signature](key, *inputs)

    def _run(self, key, *inputs):
        read, changed = {}, {}
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            values = self._graph.feed(inputs)
            for call in self._graph.calls:
                returned = self._run_call(tape, call, call.read(values), read, changed)
                values.update(zip(call.outputs, returned, strict=True))
            outputs = self._scale(values)
            seed, part = key[:2], key[2:] if self._workers.count > 1 else None
            totals = [_weigh(outputs, seed, v, part) for v in range(NUM_VECTORS)]
        found = [
            tape.gradient(t, changed, unconnected_gradients="zero") for t in totals
        ]
        derivatives = {key: tf.stack([each[key] for each in found]) for key in changed}
        return read, derivatives

    def _run_call(self, tape, call, inputs, read, changed):
        """Returns what a call returns, and takes down what a change of it acts on."""
        linear = None
        for key, reader in self._readers.get(call.index, {}).items():
            if reader.form is not None:
                linear = key, reader.form
                continue
            place = reader.position
            # The same tensor at two inputs, or calls, has derivatives for each.
            inputs[place] = _with_mask(tf.identity(inputs[place]), inputs[place])
            tape.watch(inputs[place])
            changed[key] = read[key] = inputs[place]
        if linear is None:
            return run_masked(call, inputs, {})
        key, form = linear
        read[key] = form.read(call, inputs, {})
        changed[key] = form.apply(read[key])
        tape.watch(changed[key])
        return [_with_mask(form.activate(changed[key]), inputs[0])]


def _to_content(num_batches, totals):
    """Returns what an entry holds of the sums of so many batches."""
    sums = {f"total.{place}": total for place, total in enumerate(totals.values())}
    return {"num_batches": num_batches, **sums}


def count_batches(graph, inputs, num_examples):
    """Returns in how many batches examples are run, about, a float of at least 1.

    Args:
        graph: The recorded `Graph`.
        inputs: List of tensors, some batch.
        num_examples: Integer, of all batches.
    """
    return max(num_examples * _held_bytes(graph, inputs) / SEEN_BYTES, 1)


def _held_bytes(graph, inputs):
    """Returns the bytes that a pass of one example holds, about."""
    # What a reader returns has a derivative for each vector.
    return (2 + NUM_VECTORS) * count_bytes(graph, inputs)


def _weigh(outputs, seed, vector, part=None):
    """Returns the sum of all outputs, each entry with a random sign.

    Args:
        outputs: List of tensors.
        seed: Integer tensor, shape `(2,)`.
        vector: Integer.
        part: Integer tensor of the first example and the number of all in the batch of
            which these are a part, or `None` for all of it: signs are drawn for all.
    """
    total = tf.zeros([])
    for place, tensor in enumerate(outputs):
        key = seed
        for number in (vector, place):
            key = tf.random.experimental.stateless_fold_in(key, number)
        shape = tf.shape(tensor)
        if part is not None:
            shape = tf.concat([part[1:], shape[1:]], axis=0)
        drawn = tf.random.stateless_uniform(shape, key, 0, 2, tf.int32)
        if part is not None:
            drawn = drawn[part[0] : part[0] + tf.shape(tensor)[0]]
        total += tf.reduce_sum((2.0 * tf.cast(drawn, tf.float32) - 1.0) * tensor)
    return total


def _with_mask(tensor, source):
    """Returns a tensor with Keras's mask of time steps, if another one has it."""
    if (steps := getattr(source, "_keras_mask", None)) is not None:
        tensor._keras_mask = steps
    return tensor


def _sum_squares(changes, read, derivatives):
    """Returns the squared change of the outputs, summed over a batch, at each depth."""
    squares = []
    for depth in range(len(changes[0].changes)):
        # The readers of a group change together: their errors may cancel out.
        dots = sum(
            _apply(change, depth, read[change.key], derivatives[change.key])
            for change in changes
        )
        squares.append(np.sum(dots**2) / NUM_VECTORS)
    return np.array(squares)


def _apply(change, depth, read, derivatives):
    """Returns `v'J d` of each vector and example, shape `(vectors, batch)`."""
    found, form = change.changes[depth](), change.reader.form
    matrix, bias = found[:-1], found[-1]
    read = tf.cast(read, tf.float32)
    if form is None:
        different = tf.matmul(read, matrix)
    else:
        kernel = tf.constant(form.from_matrix(matrix), tf.float32)
        # The layer's own operation, with another kernel for the moment.
        with keras.StatelessScope(state_mapping=[(form.kernel_weight, kernel)]):
            different = form.apply_kernel(read)
    different = different + bias
    axes = list(range(2, len(derivatives.shape)))
    return tf.reduce_sum(different * tf.cast(derivatives, tf.float32), axes).numpy()
