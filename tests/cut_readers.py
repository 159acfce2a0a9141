"""Networks some of whose readers have been changed: what `OutputPass` estimates."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.output_costs.reader_changes import find_changes
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.trace.array_store import ArrayStore


def to_batches(model, inputs, size=10):
    """Returns inputs, structured as a model takes them, as batches of tensors."""
    flat = keras.tree.flatten(inputs)
    starts = range(0, len(flat[0]), size)
    return [[tf.constant(x[start : start + size]) for x in flat] for start in starts]


def changes_of(channel_map, batches, counts=None, hold_out=True):
    """Returns dict: group name -> `ReaderChange`s, removed in a random order.

    Args:
        channel_map: A `ChannelMap`.
        batches: List of lists of input tensors.
        counts: List of integers, or `None` for one unit, and half of them.
        hold_out: Boolean, whether every fifth example is held out.
    """
    groups = [group for group in channel_map.groups if group.num_units > 1]
    moments = InputMoments(channel_map, groups, batches, hold_out=hold_out)
    generator, store = np.random.default_rng(0), ArrayStore(2**30)
    return {
        group.name: find_changes(
            moments,
            group,
            generator.permutation(group.num_units),
            counts or sorted({1, group.num_units // 2}),
            store,
        )
        for group in groups
    }


def run_changed(graph, inputs, changes, depth, share=1.0):
    """Returns all values of a network whose readers have been changed.

    Args:
        graph: A `Graph`.
        inputs: List of tensors.
        changes: List of `ReaderChange`s.
        depth: Integer, which of their depths.
        share: Float, how much of the change.
    """
    by_call = {}
    for change in changes:
        by_call.setdefault(change.reader.call, []).append(change)

    def run(call, inputs):
        linear = None
        for change in by_call.get(call, ()):
            reader, matrix = change.reader, share * change.changes[depth]()
            if reader.form is None:
                read = inputs[reader.position]
                inputs[reader.position] = read + _times(read, matrix)
            else:
                linear = reader.form, matrix
        if linear is None:
            args, kwargs = call.fill_in(inputs)
            return keras.tree.flatten(call.operation(*args, **kwargs))
        form, matrix = linear
        read = form.read(call, inputs, {})
        outputs = form.apply(read)
        added = tf.reshape(_times(form.rows(read), matrix), tf.shape(outputs))
        return [form.activate(outputs + added)]

    values = graph.feed(inputs)
    for call in graph.calls:
        values.update(zip(call.outputs, run(call, call.read(values)), strict=True))
    return values


def _times(rows, matrix):
    flat = tf.reshape(tf.cast(rows, tf.float32), [-1, len(matrix) - 1])
    product = flat @ matrix[:-1].astype("float32") + matrix[-1].astype("float32")
    shape = tf.concat([tf.shape(rows)[:-1], [matrix.shape[1]]], axis=0)
    return tf.reshape(product, shape)
