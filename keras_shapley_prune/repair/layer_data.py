"""What a repaired layer reads and what it should return, as rows."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear
from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.augmented_copies import count_copies, most_copies
from keras_shapley_prune.repair.depthwise import apply_depthwise_at
from keras_shapley_prune.repair.skip_compensation import SkipCompensation
from keras_shapley_prune.repair.taken_rows import choose_positions, take_rows

DEPTHWISE_COLUMNS = 32  # a scale and a bias get the rows of so many


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
    """

    def __init__(self, repairer, calls, columns=None, max_rows=None, outputs=None):
        self._repairer, self._calls, self._outputs = repairer, calls, outputs
        self._columns, self._max_rows = columns, max_rows
        self._wanted = find_linear_form(repairer.twin(calls[0]).operation)
        self._form = find_linear_form(calls[0].operation)
        num_columns = len(self._form.channel_of)
        self._num_columns = num_columns if columns is None else len(columns)
        self._returned = returns_target(repairer, calls)
        self._lacking = {
            call: SkipCompensation(
                *repairer.graphs, repairer.twin(call), repairer.find_masks
            )
            for call in calls
        }

    def rows(self):
        """Yields rows, and a boolean array of which examples are held out."""
        for _, _, _, inputs, positions, pieces in self._batches():
            for examples, held_out in pieces:
                yield self._take(inputs[examples], positions), held_out

    def pairs(self):
        """Yields rows, their targets and which examples are held out."""
        for call, before, after, inputs, positions, pieces in self._batches():
            target = self._find_target(call, before, after, positions)
            if self._outputs is not None:
                target = tf.gather(target, self._outputs, axis=-1)
            for examples, held_out in pieces:
                rows = self._take(inputs[examples], positions)
                yield rows, target[examples], held_out

    def _take(self, inputs, positions):
        rows = take_rows(self._form, inputs, positions)
        whole = self._num_columns == rows.shape[-1]
        return rows if whole else tf.gather(rows, self._columns, axis=2)

    def _find_target(self, call, before, after, positions):
        """Returns what the layer should return, `(batch, positions, num_outputs)`."""
        twin = self._repairer.twin(call)
        if self._returned:
            target = _at(to_rows(before[twin.outputs[0]]), positions)
        else:
            target = _apply(
                self._wanted, read_whole(self._wanted, twin, before), positions
            )
        lacking = self._lacking[call](before, after)
        return (
            target + _at(to_rows(lacking), positions)
            if tf.is_tensor(lacking)
            else target
        )

    def _count_copies(self):
        """Returns how many augmented copies of the data are read too."""
        if self._max_rows is not None:  # every step of a wide fit would run them anew
            return 0
        shapes = [call.outputs[0].shape[1:-1] for call in self._calls]
        positions = sum(math.prod(n or 1 for n in shape) for shape in shapes)
        num_columns = max(len(columns) for columns, _ in self._wanted.blocks)
        num_examples = self._repairer.num_examples
        num_rows, most = positions * num_examples, most_copies(num_examples)
        return count_copies(num_rows, num_columns, most)

    def _batches(self):
        """Yields what `Repairer.passes` does, what is read, where, and how much."""
        first, num_examples = 0, self._repairer.num_examples
        passes = self._repairer.passes(
            self._calls, self._count_copies(), self._returned
        )
        for call, before, after in passes:
            inputs = self._repairer.read(self._form, call, after)
            num_positions = self._form.count_positions(inputs)
            positions = choose_positions(num_positions, self._num_columns, num_examples)
            count = size = len(inputs)
            if self._max_rows is not None:
                size = max(self._max_rows // num_positions, 1)
            held_out = (first + np.arange(count)) % 5 == 0
            first = (first + count) % num_examples  # then the next call
            pieces = [slice(start, start + size) for start in range(0, count, size)]
            pieces = [(piece, held_out[piece]) for piece in pieces]
            yield call, before, after, inputs, positions, pieces


def depthwise_pairs(repairer, calls):
    """Yields what a depthwise layer returns without its bias, and what it should.

    At as many positions of each example as a scale and a bias need.

    Args:
        repairer: The `Repairer`, at the first of the calls.
        calls: List of the calls of the layer.
    """
    returned, count = returns_target(repairer, calls), repairer.num_examples
    for call, before, after in repairer.passes(calls, finished=returned):
        twin, read = repairer.twin(call), after[call.inputs[0]]
        shape = call.operation.compute_output_shape(tuple(read.shape))
        positions = choose_positions(math.prod(shape[1:-1]), DEPTHWISE_COLUMNS, count)
        outputs = apply_depthwise_at(call.operation, read, positions)
        if returned:
            target = _at(to_rows(before[twin.outputs[0]]), positions)
        else:
            read = before[twin.inputs[0]]
            target = apply_depthwise_at(twin.operation, read, positions, bias=True)
        yield outputs, target


def returns_target(repairer, calls):
    """Returns whether what the original's layer returns is what it should return.

    Without an activation, and if it is there to be read.
    """
    graph = repairer.graphs[0]
    for call in map(repairer.twin, calls):
        output = call.outputs[0]
        read = output in graph.outputs or graph.consumers().get(output)
        exact = getattr(call.operation, "compute_dtype", None) == "float32"
        if not (read and exact and ends_linear(call.operation)):
            return False
    return True


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
    chosen = choose_positions(positions, columns, num_examples)
    return [_at(tensor, chosen) for tensor in tensors]


def _at(rows, positions):
    return rows if positions is None else tf.gather(rows, positions, axis=1)


def _apply(form, inputs, positions):
    """Returns what a linear layer has before its activation, at some positions."""
    if positions is None:
        return to_rows(form.apply(inputs))
    rows = take_rows(form, inputs, positions)
    outputs = tf.matmul(rows, tf.constant(form.matrix, tf.float32))
    return outputs if form.bias is None else outputs + tf.cast(form.bias, tf.float32)
