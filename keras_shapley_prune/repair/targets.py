"""What a repaired layer should return: what it returns in the original, and more."""

import functools

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.bias_folding import ends_linear
from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import (
    find_depthwise_form,
    find_linear_form,
)
from keras_shapley_prune.repair.depthwise import apply_depthwise_at
from keras_shapley_prune.repair.later_sums import LaterSum
from keras_shapley_prune.repair.skip_compensation import SkipCompensation, is_fitted
from keras_shapley_prune.repair.taken_rows import (
    choose_positions,
    rows_at,
    take_rows,
)
from keras_shapley_prune.trace.array_store import ArrayStore
from keras_shapley_prune.trace.memory import resolve_memory
from keras_shapley_prune.trace.segments import is_worth_compiling
from keras_shapley_prune.trace.watched_pass import WatchedPass

DEPTHWISE_COLUMNS = 16  # a scale and a bias get the rows of so many


class LayerTarget:
    """The target of one call of a fitted layer, as far as the original says it.

    Args:
        graph: The recorded `Graph` of the original.
        call: Its `Call`, of a layer with a `LinearForm` or a `DepthwiseForm`.
        later: The `Later` of the layer, if removed blocks are behind it: see
            `find_later_sums`.

    Attributes:
        call: The `Call`.
        is_returned: Boolean, whether the target is what the call returns: it has no
            activation, and something reads it.
    """

    def __init__(self, graph, call, later=None):
        self.call, self._form = call, find_linear_form(call.operation)
        self.is_returned = is_returned(graph, call)
        self._skip = SkipCompensation(graph, call) if self._form else None
        if later is not None:
            start = call.index + self.is_returned
            self._skip = LaterSum(graph, call, later, start)
        if self._form and not self.is_returned:  # while it is compiled it is too late
            self._matrix, self._bias = self._form.matrix, self._form.bias

    def at(self, values, positions):
        """Returns the target at some positions.

        Args:
            values: Dict: symbolic tensor -> value, before the call; behind it if
                `is_returned`.
            positions: Integer array, places among its outputs, or `None` for all.

        Returns:
            Float32 tensor, shape `(batch, positions, num_outputs)`.
        """
        call, form = self.call, self._form
        if self.is_returned:
            target = rows_at(to_rows(values[call.outputs[0]]), positions)
        elif form is None:
            read = values[call.inputs[0]]
            target = apply_depthwise_at(call.operation, read, positions, bias=True)
        else:
            target = self._apply(read_whole(form, call, values), positions)
        skipped = self._skip(values) if self._skip else None
        if skipped is None:
            return target
        return target + rows_at(to_rows(skipped), positions)

    def _apply(self, inputs, positions):
        """Returns what the layer has before its activation."""
        if positions is None:
            return to_rows(self._form.apply(inputs))
        rows = take_rows(self._form, inputs, positions)
        outputs = tf.matmul(rows, tf.constant(self._matrix, tf.float32))
        bias = 0 if self._bias is None else tf.cast(self._bias, tf.float32)
        return outputs + bias


class RecordedTargets:
    """Targets of all layers that may have to be repaired, from one pass.

    To rank and to repair read the same of the original: what is recorded while it is
    ranked need not be run again.

    Args:
        memory: See `resolve_memory`. Half of it is for targets; what does not fit is
            held in a temporary file.

    Attributes:
        memory: Integer, bytes.
        batches: List of lists of input tensors, the data; `None` if nothing has been
            recorded yet.
    """

    def __init__(self, memory=None):
        self.memory = resolve_memory(memory)
        self.batches, self._num_examples = None, 0
        self._store = ArrayStore(self.memory // 2)
        self._recorded = {}  # index of a call -> a callable a batch that returns rows
        self._num_columns = {}

    def watch(self, channel_map, groups, batches):
        """Returns the watches of a `WatchedPass` that sees the targets.

        Args:
            channel_map: The `ChannelMap` of the original.
            groups: Sequence of its `ChannelGroup`s, of which units may be removed.
            batches: List of lists of input tensors, one list a batch.
        """
        self.__init__(self.memory)
        self.batches = batches
        self._num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        watches = []
        for call in channel_map.changed_calls(channel_map.without(groups)):
            if is_fitted(call.operation):
                target = LayerTarget(channel_map.graph, call)
                self._recorded[call.index] = []
                form = find_linear_form(call.operation)
                self._num_columns[call.index] = form and len(form.channel_of)
                look = functools.partial(self._look, target)
                watches.append((call.index + target.is_returned, look))
        return watches

    def record(self, seen):
        """Takes down the targets of the next batch.

        Args:
            seen: List, what the watches returned.
        """
        for recorded, rows in zip(self._recorded.values(), seen, strict=True):
            recorded.append(self._store.put(rows))

    def skip(self):
        """Leaves out the targets of the next batch, which is another worker's."""
        for recorded in self._recorded.values():
            recorded.append(None)

    @property
    def num_bytes(self):
        """Integer, the bytes of the targets in memory."""
        return self._store.num_bytes

    def has(self, calls):
        """Returns whether the targets of all of these calls are known.

        Of the batches of other workers, it is they who know them.
        """
        return all(self._recorded.get(call.index) for call in calls)

    def at(self, call, batch, values, positions):
        """Returns what `LayerTarget.at` returned.

        Args:
            call: A `Call` of the original, or of the smaller network.
            batch: Integer.
            values: Dict: symbolic tensor -> value, before the call.
            positions: Integer array, some of those recorded; `None` for all.
        """
        rows = self._recorded[call.index][batch]()
        # As many positions as there are, or as the columns of the original want.
        columns = self._num_columns.get(call.index)
        known = positions_of(call, values, self._num_examples, columns)
        if known is None or positions is None:
            return rows_at(rows, positions)
        return rows_at(rows, np.searchsorted(known, positions))

    def _look(self, target, values):
        positions = positions_of(target.call, values, self._num_examples)
        return target.at(values, positions)


def record_targets(targets, channel_map, groups, batches):
    """Fills `RecordedTargets` in a pass of their own, of this worker's batches.

    Args:
        targets: The `RecordedTargets`.
        channel_map: The `ChannelMap` of the original.
        groups: Sequence of its `ChannelGroup`s, of which units may be removed.
        batches: List of lists of input tensors, one list a batch.
    """
    watches = targets.watch(channel_map, groups, batches)
    compiled = is_worth_compiling(batches)
    network = WatchedPass(channel_map.graph, watches, compiled)
    workers = current_workers()
    for number, inputs in enumerate(batches):
        if workers.takes(number):
            targets.record(network.run(inputs))
        else:
            targets.skip()


def positions_of(call, values, num_examples, num_columns=None):
    """Returns at which positions of its output a layer is fitted.

    Those of fewer columns are some of those of more.

    Args:
        call: A `Call` of a layer with a `LinearForm` or a `DepthwiseForm`.
        values: Dict: symbolic tensor -> value, before the call.
        num_examples: Integer, in all batches.
        num_columns: Integer, of a linear layer's rows; `None` for all.

    Returns:
        Integer array, or `None` for all positions.
    """
    form = find_linear_form(call.operation)
    if form is not None:
        count = form.count_positions(read_whole(form, call, values))
        num_columns = num_columns or len(form.channel_of)
        return choose_positions(count, num_columns, num_examples)
    form = find_depthwise_form(call.operation)
    count = form.count_positions(values[call.inputs[0]])
    return choose_positions(count, DEPTHWISE_COLUMNS, num_examples)


def read_whole(form, call, values):
    """Returns what a linear layer reads in a network that nothing is removed from."""
    return form.read(call, call.read(values), no_masks(call))


def is_returned(graph, call):
    """Returns whether the target of a call is what it returns, see `LayerTarget`."""
    output, operation = call.outputs[0], call.operation
    read = output in graph.outputs or graph.consumers().get(output)
    exact = getattr(operation, "compute_dtype", None) == "float32"
    return bool(read and exact and ends_linear(operation))
