"""What a repaired layer should return: what it returns in the original, and more."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.bias_folding import ends_linear
from keras_shapley_prune.layer_types.linear_forms import to_rows
from keras_shapley_prune.layer_types.masked_calls import no_masks
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.depthwise import apply_depthwise_at
from keras_shapley_prune.repair.skip_compensation import SkipCompensation, is_fitted
from keras_shapley_prune.repair.taken_rows import (
    choose_positions,
    rows_at,
    take_rows,
)
from keras_shapley_prune.trace.forward_pass import FEW_BATCHES
from keras_shapley_prune.trace.segments import Segments

MEMORY = 2**29  # bytes of targets that are kept for repair
DEPTHWISE_COLUMNS = 32  # a scale and a bias get the rows of so many


class LayerTarget:
    """The target of one call of a fitted layer, as far as the original says it.

    Args:
        graph: The recorded `Graph` of the original.
        call: Its `Call`, of a layer with a `LinearForm` or a `DepthwiseForm`.

    Attributes:
        is_returned: Boolean, whether the target is what the call returns: it has no
            activation, and something reads it.
    """

    def __init__(self, graph, call):
        self._call, self._form = call, find_linear_form(call.operation)
        self.is_returned = _is_returned(graph, call)
        self._skip = SkipCompensation(graph, call) if self._form else None

    def at(self, values, positions):
        """Returns the target at some positions.

        Args:
            values: Dict: symbolic tensor -> value, before the call; behind it if
                `is_returned`.
            positions: Integer array, places among its outputs, or `None` for all.

        Returns:
            Float32 tensor, shape `(batch, positions, num_outputs)`.
        """
        call, form = self._call, self._form
        if self.is_returned:
            target = rows_at(to_rows(values[call.outputs[0]]), positions)
        elif form is None:
            read = values[call.inputs[0]]
            target = apply_depthwise_at(call.operation, read, positions, bias=True)
        else:
            target = _apply(form, read_whole(form, call, values), positions)
        skipped = self._skip(values) if self._skip else None
        if skipped is None:
            return target
        return target + rows_at(to_rows(skipped), positions)


class RecordedTargets:
    """Targets of all layers that may have to be repaired, from one pass.

    To rank and to repair read the same of the original: what is recorded while it is
    ranked need not be run again.

    Attributes:
        batches: List of lists of input tensors, the data; `None` if nothing has been
            recorded yet.
        segments: The `Segments` of the original.
    """

    def __init__(self):
        self.batches, self.segments, self._bytes = None, None, 0
        self._wanted, self._positions, self._recorded = {}, {}, {}

    def start(self, channel_map, groups, batches):
        """Finds what may have to be repaired.

        Args:
            channel_map: The `ChannelMap` of the original.
            groups: Sequence of its `ChannelGroup`s, of which units may be removed.
            batches: List of lists of input tensors.
        """
        graph, changed = channel_map.graph, set()
        few = len(batches) <= FEW_BATCHES
        self.batches, self.segments = batches, Segments(graph, compiled=not few)
        sites = {index for group in groups for index, _ in channel_map.sites_of(group)}
        for call in graph.calls:
            if call.index in sites or not changed.isdisjoint(call.inputs):
                changed.update(call.outputs)
                if is_fitted(call.operation):
                    self._wanted[call.index] = LayerTarget(graph, call)

    @property
    def wanted(self):
        """Dict: index of a call -> the `LayerTarget` to record, in running order."""
        return self._wanted

    def record(self, call, before, after):
        """Takes down the target of a call that is wanted, for the next batch.

        Args:
            call: A `Call`.
            before: Dict: symbolic tensor -> value, before the call.
            after: The same behind it.
        """
        target = self._wanted[call.index]
        if call.index not in self._positions:
            num_examples = sum(int(inputs[0].shape[0]) for inputs in self.batches)
            chosen = positions_of(call, before, num_examples)
            self._positions[call.index] = chosen
        values = after if target.is_returned else before
        rows = target.at(values, self._positions[call.index])
        self._bytes += rows.dtype.size * rows.shape.num_elements()
        self._recorded.setdefault(call.index, []).append(rows)
        if self._bytes > MEMORY:  # for this layer the original is run again
            forgotten = self._recorded.pop(call.index)
            self._bytes -= sum(r.dtype.size * r.shape.num_elements() for r in forgotten)
            del self._wanted[call.index]

    def has(self, calls):
        """Returns whether the targets of all of these calls are known."""
        return all(call.index in self._recorded for call in calls)

    def at(self, call, batch, positions):
        """Returns what `LayerTarget.at` returned.

        Args:
            call: A `Call` of the original, or of a copy of it.
            batch: Integer.
            positions: Integer array, some of those recorded; `None` for all.
        """
        rows, known = self._recorded[call.index][batch], self._positions[call.index]
        if known is None or positions is None:
            return rows_at(rows, positions)
        return rows_at(rows, np.searchsorted(known, positions))


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
    shape = tuple(values[call.inputs[0]].shape)
    count = math.prod(call.operation.compute_output_shape(shape)[1:-1])
    return choose_positions(count, DEPTHWISE_COLUMNS, num_examples)


def read_whole(form, call, values):
    """Returns what a linear layer reads in a network that nothing is removed from."""
    return form.read(call, call.read(values), no_masks(call))


def _is_returned(graph, call):
    output, operation = call.outputs[0], call.operation
    read = output in graph.outputs or graph.consumers().get(output)
    exact = getattr(operation, "compute_dtype", None) == "float32"
    return bool(read and exact and ends_linear(operation))


def _apply(form, inputs, positions):
    """Returns what a linear layer has before its activation, at some positions."""
    if positions is None:
        return to_rows(form.apply(inputs))
    rows = take_rows(form, inputs, positions)
    outputs = tf.matmul(rows, tf.constant(form.matrix, tf.float32))
    return outputs if form.bias is None else outputs + tf.cast(form.bias, tf.float32)
