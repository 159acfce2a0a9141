"""The part of the network after a group's masks, and what enters it."""

import functools

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.masked_calls import Mask, no_masks
from keras_shapley_prune.layer_types.unit_ids import INSIDE
from keras_shapley_prune.trace.graph import (
    find_ancestors,
    find_dependents,
    run_calls,
)


class Suffix:
    """What depends on the masks of one group.

    Args:
        channel_map: A `ChannelMap`.
        group: One of its `ChannelGroup`s.
        keep: Boolean array, the units of the model that have not been removed yet, or
            `None` for all.
        shifts: Dict: call -> `Shift`, see `mean_shifts`. `None` if a removed unit is
            read as zero and nothing else.

    Attributes:
        group: The group.
        masker: Its `GroupMasker`.
        start: Integer, the index of the first call that reads the group.
        calls: Tuple of the calls that depend on the masks.
        side_calls: Tuple of other calls from `start` on whose outputs enter.
        cut: Tuple of the symbolic tensors that enter. Where a skip connection crosses
            the cut there are several. What is one for all examples, such as a weight,
            is none of them: it is not repeated with the batch.
    """

    def __init__(self, channel_map, group, keep=None, shifts=None):
        graph = channel_map.graph
        self.group, self._outputs = group, graph.outputs
        self.masker = GroupMasker(channel_map, group, keep)
        self._shifts = shifts or {}
        # A unit acts where it is read, not where it is produced: everything before its
        # first reader is the same for all coalitions, and is computed once a batch.
        self.start = min(self.masker.sites)[0]
        sites = self.masker.sites
        self.calls = find_dependents(graph, {index for index, _ in sites})
        produced = {tensor for call in self.calls for tensor in call.outputs}
        entering = self._inputs_of(self.calls, produced)
        once = [tensor for tensor in entering if tensor in channel_map.for_all]
        self._for_all = channel_map.for_all
        self._common_calls = [
            call
            for call in find_ancestors(graph, once)
            if self._for_all.issuperset(call.outputs)
        ]
        self.cut = tuple(t for t in entering if t not in self._for_all)
        # Calls behind `start` that no mask reaches, such as the shortcut of a block.
        # They too run once a batch, not once a coalition.
        self.side_calls = find_ancestors(graph, self.cut, self.start)

    @property
    def num_units(self):
        """Integer, the number of units that are masked."""
        return self.masker.num_units

    def cut_values(self, values, find_masks=no_masks):
        """Returns what enters the suffix.

        Args:
            values: Dict: symbolic tensor -> value, before the call at `start`.
            find_masks: See `run_calls`.

        Returns:
            List of the values of `cut`.
        """
        # A copy: the caller's dict is shared by all groups.
        values = dict(values)
        run_calls(self.side_calls, values, find_masks)
        return [values[tensor] for tensor in self.cut]

    def run(self, cut_values, coalitions, watch=None):
        """Returns the model's outputs under one coalition an example.

        Args:
            cut_values: List of the values of `cut`.
            coalitions: Float tensor, shape `(batch, num_units)`.
            watch: Optional callable, see `GroupMasker.masks`.
        """
        values = dict(zip(self.cut, cut_values, strict=True))
        return self._run(self.calls, values, coalitions, watch)

    def cut_after(self, call):
        """Returns the positions in `cut` of what is read by others than one call."""
        others = [c for c in self.calls if c is not call]
        produced = {tensor for c in self.calls for tensor in c.outputs}
        # What only `call` reads is not needed once its output is known, so that a walk
        # repeats less for each step.
        needed = self._inputs_of(others, produced)
        return [i for i, tensor in enumerate(self.cut) if tensor in needed]

    def run_after(self, call, output, cut_values, coalitions):
        """Returns the model's outputs, given what one of the calls returns.

        Args:
            call: One that reads the group, and otherwise what enters the suffix.
            output: Tensor, what it returns.
            cut_values: List of the values of `cut` at `cut_after(call)`.
            coalitions: Float tensor, shape `(batch, num_units)`.
        """
        tensors = [self.cut[i] for i in self.cut_after(call)]
        values = dict(zip(tensors, cut_values, strict=True))
        values[call.outputs[0]] = output
        others = [c for c in self.calls if c is not call]
        return self._run(others, values, coalitions)

    def shift_of(self, call):
        """Returns the `Shift` at a call, or `None`."""
        return self._shifts.get(call)

    def cut_specs(self, cut_values):
        """Returns `tf.TensorSpec`s of the cut for a batch of any size."""
        return [
            tf.TensorSpec((None, *tensor.shape[1:]), value.dtype)
            for tensor, value in zip(self.cut, cut_values, strict=True)
        ]

    def _run(self, calls, values, coalitions, watch=None):
        # A layer that reads means in the place of removed units is run by its `Shift`.
        removed = 1.0 - coalitions
        stand_ins = {
            call: functools.partial(shift.run, removed)
            for call, shift in self._shifts.items()
        }
        values = {**self._common_values(), **values}
        run_calls(calls, values, self.masker.masks(coalitions, watch), stand_ins)
        return [values[tensor] for tensor in self._outputs]

    def _common_values(self):
        """Returns a dict: symbolic tensor that is one for all examples -> its value."""
        values = {}
        for call in self._common_calls:
            for tensor in call.inputs:
                if tensor not in self._for_all:  # it only has a place in the graph
                    shape = [length or 1 for length in tensor.shape]
                    values.setdefault(tensor, tf.zeros(shape, tensor.dtype))
            run_calls([call], values)
        return {tensor: values[tensor] for tensor in self._for_all & values.keys()}

    def _inputs_of(self, calls, produced):
        read = [tensor for call in calls for tensor in call.inputs]
        # An output of the model that no mask reaches enters too. A dict keeps the
        # order, so that the signature of the compiled step is always the same.
        read = dict.fromkeys([*read, *self._outputs])
        return tuple(tensor for tensor in read if tensor not in produced)


class GroupMasker:
    """Applies the masks of one group, given as one row a coalition of its units.

    Args:
        channel_map: A `ChannelMap`.
        group: One of its `ChannelGroup`s.
        keep: Boolean array, shape `(channel_map.num_units,)`: units of other groups
            that have been removed already are masked too. `None` if there are none.
    """

    def __init__(self, channel_map, group, keep=None):
        self.num_units = group.num_units
        # position_of[unit] is 0 to n - 1 for the units of the group, n for those of
        # other groups and n + 1 for removed ones. The last entry is that of FIXED,
        # which is -1.
        position_of = np.full(channel_map.num_units + 1, self.num_units)
        if keep is not None:
            position_of[:-1][~keep] = self.num_units + 1
        position_of[group.units] = np.arange(self.num_units)
        columns = {site: position_of[ids] for site, ids in channel_map.sites.items()}
        self._columns = {
            site: found
            for site, found in columns.items()
            # Where only other groups are read there is nothing to mask.
            if (found != self.num_units).any()
        }

    @property
    def sites(self):
        """Tuple of `(call index, input position)` where the group is read."""
        return tuple(
            # A site at which only removed units of other groups are read is masked, but
            # is the same in every coalition.
            site
            for site, c in self._columns.items()
            if (c < self.num_units).any()
        )

    def columns(self, site):
        """Returns which unit of the group each channel at a site is.

        Integer array; `num_units` for a channel of another group, `num_units + 1`
        for one that has been removed.
        """
        return self._columns[site]

    def masks(self, coalitions, watch=None):
        """Returns the `find_masks` of `run_calls` under which the group is masked.

        Args:
            coalitions: Float tensor, shape `(batch, num_units)`, 1 for a unit that
                is in the coalition.
            watch: Optional callable `fn(columns, value)`, called with what is read at
                each site, and which unit of the group each channel is (see
                `columns`).
        """
        # Two columns more: for channels of other groups, and for removed ones.
        one_more = [[0, 0], [0, 1]]
        padded = tf.pad(coalitions, one_more, constant_values=1.0)
        padded = tf.pad(padded, one_more)

        def find_masks(call):
            masks = {}
            for position in (INSIDE, *range(len(call.inputs))):
                columns = self._columns.get((call.index, position))
                if columns is not None:
                    # The mask, shape `(batch, channels)`, is the coalition of each
                    # example, spread from units to channels.
                    seen = watch and functools.partial(watch, columns)
                    masks[position] = Mask(tf.gather(padded, columns, axis=1), seen)
            return masks

        return find_masks
