"""What a repaired layer reads and what it should return, as rows."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.augmented_copies import count_copies
from keras_shapley_prune.repair.skip_compensation import SkipCompensation

ROWS_A_COLUMN = 64  # more positions than that tell a fit nothing new


class LayerData:
    """What a linear layer reads and what it should return, as rows, batch by batch.

    Every fifth example is held out.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of calls of the layer.
        rows_of: Callable: input tensor -> rows, `(batch, positions, columns)`.
        max_rows: Integer, how many are made at a time, or `None`. A single example
            may have more.
        outputs: Integer array, which outputs of the layer to fit, or `None` for all.
    """

    def __init__(self, repairer, calls, rows_of, max_rows=None, outputs=None):
        self._repairer, self._calls, self._outputs = repairer, calls, outputs
        self._rows_of, self._max_rows = rows_of, max_rows
        self._wanted = find_linear_form(repairer.twin(calls[0]).operation)
        self._form = find_linear_form(calls[0].operation)
        self._lacking = {
            call: SkipCompensation(
                *repairer.graphs, repairer.twin(call), repairer.find_masks
            )
            for call in calls
        }

    def rows(self):
        """Yields rows, and a boolean array of which examples are held out."""
        for _, _, _, inputs, pieces in self._batches():
            for examples, held_out in pieces:
                rows = self._rows_of(inputs[examples])
                yield thin_out([rows], self._repairer.num_examples)[0], held_out

    def pairs(self):
        """Yields rows, their targets and which examples are held out."""
        for call, before, after, inputs, pieces in self._batches():
            twin = self._repairer.twin(call)
            target = self._wanted.apply(read_whole(self._wanted, twin, before))
            target = to_rows(target + self._lacking[call](before, after))
            if self._outputs is not None:
                target = tf.gather(target, self._outputs, axis=-1)
            for examples, held_out in pieces:
                rows = self._rows_of(inputs[examples])
                pair = [rows, target[examples]]
                yield *thin_out(pair, self._repairer.num_examples), held_out

    def _count_copies(self):
        """Returns how many augmented copies of the data are read too."""
        if self._max_rows is not None:  # every step of a wide fit would run them anew
            return 0
        shapes = [call.outputs[0].shape[1:-1] for call in self._calls]
        positions = sum(math.prod(n or 1 for n in shape) for shape in shapes)
        num_columns = max(len(columns) for columns, _ in self._wanted.blocks)
        return count_copies(positions * self._repairer.num_examples, num_columns)

    def _batches(self):
        """Yields what `Repairer.passes` does, what is read, and how much at a time."""
        first = 0
        passes = self._repairer.passes(self._calls, self._count_copies())
        for call, before, after in passes:
            inputs = self._repairer.read(self._form, call, after)
            count = size = len(inputs)
            if self._max_rows is not None:
                size = max(self._max_rows // self._form.count_positions(inputs), 1)
            held_out = (first + np.arange(count)) % 5 == 0
            first = (first + count) % self._repairer.num_examples  # then the next call
            pieces = [slice(start, start + size) for start in range(0, count, size)]
            pieces = [(piece, held_out[piece]) for piece in pieces]
            yield call, before, after, inputs, pieces


def read_whole(form, call, values):
    """Returns what a linear layer reads in a network that nothing is removed from."""
    return form.read(call, call.read(values), no_masks(call))


def thin_out(tensors, num_examples):
    """Returns as many random positions of each example as a fit needs.

    Args:
        tensors: List of tensors, shape `(batch, positions, ...)`, the rows first.
        num_examples: Integer.
    """
    _, positions, columns = tensors[0].shape
    wanted = -(-ROWS_A_COLUMN * columns // num_examples)
    if wanted >= positions:
        return tensors
    chosen = np.random.default_rng(0).permutation(positions)[:wanted]
    return [tf.gather(tensor, chosen, axis=1) for tensor in tensors]
