"""What a repaired layer reads and what it should return, as rows."""

import math

import tensorflow as tf

from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.augmented_copies import count_copies, most_copies
from keras_shapley_prune.repair.depthwise import apply_depthwise_at
from keras_shapley_prune.repair.skip_compensation import SkipCompensation
from keras_shapley_prune.repair.taken_rows import (
    find_held_out,
    rows_at,
    take_rows,
)
from keras_shapley_prune.repair.targets import positions_of


class LayerData:
    """What a linear layer reads and what it should return, as rows, batch by batch.

    Every fifth example is held out. Of each example as many positions are read as the
    fit needs, the same in both networks.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of calls of the layer.
        columns: Integer array, which columns of the rows, or `None` for all.
        max_rows: Integer, how many are made at a time, or `None`. A single example
            may have more.
        outputs: Integer array, which outputs of the layer to fit, or `None` for all.

    Attributes:
        call: The first of the calls.
        num_columns: Integer, of the rows.
    """

    def __init__(self, repairer, calls, columns=None, max_rows=None, outputs=None):
        self._repairer, self._calls, self._outputs = repairer, calls, outputs
        self.call = calls[0]
        self._columns, self._max_rows = columns, max_rows
        self._form = find_linear_form(calls[0].operation)
        num_columns = len(self._form.channel_of)
        self.num_columns = num_columns if columns is None else len(columns)
        self._skip = {
            call: SkipCompensation(
                repairer.channel_map.graph, call, repairer.find_masks
            )
            for call in calls
        }

    def rows(self):
        """Yields rows, and a boolean array of which examples are held out."""
        for *_, inputs, positions, pieces in self._batches():
            for examples, held_out in pieces:
                yield self._take(inputs[examples], positions), held_out

    def pairs(self):
        """Yields rows, their targets, what is added behind, and what is held out.

        Yields:
            Tuple of two float32 tensors, the rows and their targets; a third, what a
            skip connection adds to what the layer returns (see `SkipCompensation`), or
            `None`; and a boolean array, which examples are held out.
        """
        for call, find_target, after, inputs, positions, pieces in self._batches():
            target, skipped = find_target(positions), self._skip[call](after)
            if skipped is not None:  # the original's is part of the target
                skipped = rows_at(to_rows(skipped), positions)
                target = target - skipped
            if self._outputs is not None:
                target = tf.gather(target, self._outputs, axis=-1)
                if skipped is not None:
                    skipped = tf.gather(skipped, self._outputs, axis=-1)
            for examples, held_out in pieces:
                rows = self._take(inputs[examples], positions)
                added = None if skipped is None else skipped[examples]
                yield rows, target[examples], added, held_out

    def _take(self, inputs, positions):
        rows = take_rows(self._form, inputs, positions)
        whole = self.num_columns == rows.shape[-1]
        return rows if whole else tf.gather(rows, self._columns, axis=2)

    def _count_copies(self):
        """Returns how many augmented copies of the data are read too."""
        if self._max_rows is not None:  # every step of a wide fit would run them anew
            return 0
        shapes = [call.outputs[0].shape[1:-1] for call in self._calls]
        positions = sum(math.prod(n or 1 for n in shape) for shape in shapes)
        num_columns = max(len(columns) for columns, _ in self._form.blocks)
        num_examples = self._repairer.num_examples
        num_rows, most = positions * num_examples, most_copies(num_examples)
        return count_copies(num_rows, num_columns, most)

    def _batches(self):
        """Yields what to fit at each call and batch, what is read, where, how much."""
        num_examples = self._repairer.num_examples
        passes = self._repairer.passes(self._calls, self._count_copies())
        for call, first, find_target, after in passes:
            inputs = self._repairer.read(self._form, call, after)
            positions = positions_of(call, after, num_examples, self.num_columns)
            count = size = len(inputs)
            if self._max_rows is not None:
                size = max(self._max_rows // self._form.count_positions(inputs), 1)
            held_out = find_held_out(first, count)
            pieces = [slice(start, start + size) for start in range(0, count, size)]
            pieces = [(piece, held_out[piece]) for piece in pieces]
            yield call, find_target, after, inputs, positions, pieces


class HeldPairs:
    """What `LayerData.pairs` yields, held for the next time if it fits.

    Args:
        data: A `LayerData`.
        max_bytes: Integer. What takes more is made anew each time.

    Attributes:
        is_held: Boolean, false before all have been read once.
    """

    def __init__(self, data, max_bytes):
        self._data, self._max_bytes = data, max_bytes
        self._held, self.is_held = [], False

    def __iter__(self):
        if self.is_held:
            yield from self._held
            return
        held, num_bytes = [], 0
        for pair in self._data.pairs():
            num_bytes += sum(4 * int(tf.size(t)) for t in pair[:3] if t is not None)
            if num_bytes <= self._max_bytes:
                held.append(pair)
            else:
                held.clear()
            yield pair
        if num_bytes <= self._max_bytes:
            self._held, self.is_held = held, True


def depthwise_pairs(repairer, calls):
    """Yields what a depthwise layer returns without its bias, and what it should.

    At as many positions of each example as a scale and a bias need.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of the calls of the layer.
    """
    if not repairer.own_batches:  # a worker without rows has as many columns
        none = tf.zeros([0, 1, calls[0].outputs[0].shape[-1]])
        yield none, none
    for call, _, find_target, after in repairer.passes(calls):
        positions = positions_of(call, after, repairer.num_examples)
        read = after[call.inputs[0]]
        yield (
            apply_depthwise_at(call.operation, read, positions),
            find_target(positions),
        )
