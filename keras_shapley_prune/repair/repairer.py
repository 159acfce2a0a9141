"""The walk from input to output on which each layer makes up for what is missing."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.layer_types.bias_folding import (
    find_normalization,
    has_bias,
    normalizes_channels,
)
from keras_shapley_prune.layer_types.masked_calls import masks_at
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.repair.augmented_copies import AugmentedCopies
from keras_shapley_prune.repair.depthwise import fit_scales, is_depthwise
from keras_shapley_prune.repair.fits import (
    collect_at,
    estimate_statistics,
    fit_bias,
    fit_matrix,
)
from keras_shapley_prune.repair.layer_data import depthwise_pairs, returns_target
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels


class Repairer:
    """Takes a copy of a network forward together with the original, and repairs it.

    The copy has its full size, removed units are masked. Before a layer is run that
    reads other values than in the original, it is refitted so that it returns what
    the original's returns. So each layer is fitted on a network that is pruned and
    repaired up to there.

    Args:
        model: The original `keras.Model`.
        channel_map: Its `ChannelMap`.
        batches: List of lists of input tensors, one list a batch.
        keep: Boolean array, shape `(num_units,)`, or `None` if nothing is removed
            yet.
        method: String, see `repair_channels`.
        ridge: Float, see `solve_towards`, or `None` to choose it for each layer on a
            fifth of the examples that is held out.

    Attributes:
        model: The copy.
        channel_map: The `ChannelMap` of the copy: the same units and groups.
        graphs: Tuple of the `Graph`s of the original and of the copy.
        keep: Boolean array: the units that have not been removed.
        ridge: Float or `None`.
        num_examples: Integer.
    """

    def __init__(
        self,
        model,
        channel_map,
        batches,
        keep=None,
        method="least_squares",
        ridge=None,
    ):
        whole = np.ones(channel_map.num_units, bool)
        self.model = remove_channels(model, whole, channel_map)
        self.channel_map = trace_channels(self.model)
        self.graphs = channel_map.graph, self.channel_map.graph
        self.keep = whole if keep is None else np.array(keep)
        self.ridge, self._method = ridge, method
        self.num_examples = sum(int(inputs[0].shape[0]) for inputs in batches)
        self._calls_of = {}
        for call in self.graphs[1].calls:
            self._calls_of.setdefault(call.operation, []).append(call)
        self._dirty = self._find_dirty()
        self._original = ForwardPass(self.graphs[0], batches)
        self._pruned = ForwardPass(self.graphs[1], batches, self.find_masks)
        self._copies = AugmentedCopies(batches)

    @property
    def position(self):
        """Integer, the index of the next call."""
        return self._pruned.position

    @property
    def num_batches(self):
        """Integer."""
        return self._pruned.num_batches

    def values(self, batch):
        """Returns the values of the copy, see `ForwardPass.values`."""
        return self._pruned.values(batch)

    def look_ahead(self, batch, position):
        """Returns the values of the copy further on, see `ForwardPass.look_ahead`."""
        return self._pruned.look_ahead(batch, position)

    def remove(self, units):
        """Masks units from here on; the calls to come read the network without."""
        self.keep[units] = False
        self._dirty = self._find_dirty()
        self._pruned.forget()

    def find_masks(self, call):
        """The `find_masks` under which the network is without the removed units."""
        return masks_at(self.channel_map, self.keep, call)

    def read(self, form, call, values):
        """Returns what a linear layer of the copy reads, but for the mask there."""
        return form.read(call, call.read(values), self.find_masks(call))

    def columns_left(self, form, call):
        """Returns which columns of a layer's rows removed units do not supply."""
        ids = self.channel_map.sites.get((call.index, form.site))
        mask = np.array([True]) if ids is None else kept(self.keep, ids)
        return np.broadcast_to(mask, form.channel_of.max() + 1)[form.channel_of]

    def passes(self, calls, num_copies=0, finished=False):
        """Yields each call with each batch, and the values in both networks.

        Args:
            calls: List of calls of the copy from `position` on.
            num_copies: Integer, how many `AugmentedCopies` of the data follow it.
            finished: Boolean, whether the original has run each call, so that what it
                returned is there. Else both networks stand before it.
        """
        main = self._original, self._pruned
        for call in calls:
            for original, pruned in [main, *self._copies.take(num_copies, *main)]:
                for batch in range(self.num_batches):
                    before = original.look_ahead(batch, call.index + finished)
                    after = pruned.look_ahead(batch, call.index)
                    yield call, before, after

    def twin(self, call):
        """Returns the original's call that a call of the copy stands for."""
        return self.graphs[0].calls[call.index]

    def has_changed(self, call):
        """Returns whether a call of the copy reads something else than its twin."""
        return call in self._dirty

    def collect(self, call, position):
        """Returns what `collect_at` does."""
        return collect_at(self, call, position)

    def advance(self, position):
        """Runs the calls before `position`, and repairs them as they come."""
        for index in range(self.position, position):
            call = self.graphs[1].calls[index]
            calls = self._calls_of[call.operation]
            if calls[0] is call and not self._dirty.isdisjoint(calls):
                self._original.advance(index)
                self._pruned.advance(index)
                self._repair(calls)
        self._original.advance(position)
        self._pruned.advance(position)

    def _find_dirty(self):
        """Returns the calls that read something else than the original's do."""
        changed, dirty = set(), set()
        for call in self.graphs[1].calls:
            if self.find_masks(call) or not changed.isdisjoint(call.inputs):
                dirty.add(call)
                changed.update(call.outputs)
        return dirty

    def _repair(self, calls):
        """Repairs one layer, over all its calls."""
        operation = calls[0].operation
        if self._method == "batchnorm":
            if normalizes_channels(calls[0]):
                estimate_statistics(self, calls)
            return
        form = find_linear_form(operation)
        if form is None and not is_depthwise(operation):
            return
        following = find_normalization(self.graphs[1], calls[0])
        normalization = following.operation if following and len(calls) == 1 else None
        with_bias = has_bias(operation)
        can_shift = with_bias or normalization is not None
        if self._method != "mean" and returns_target(self, calls[:1]):
            self._original.advance(calls[0].index + 1)  # it is not run twice
        if self._method == "mean":
            bias = fit_bias(self, form, calls) if can_shift else None
        elif form is None:
            pairs = depthwise_pairs(self, calls)
            bias = fit_scales(operation, pairs, can_shift)
        else:
            if len(calls) > 1:  # a later call may read what the first one returns
                fit_matrix(self, form, calls[:1], can_shift)
            bias = fit_matrix(self, form, calls, can_shift)
        if with_bias:
            if form is None:
                operation.bias.assign(bias)
            else:
                form.assign_bias(bias)
        elif normalization is not None:
            mean = normalization.moving_mean
            mean.assign(mean - tf.cast(bias, mean.dtype))
