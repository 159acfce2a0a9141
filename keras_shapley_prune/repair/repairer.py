"""The walk from input to output on which each layer makes up for what is missing."""

import functools
import itertools

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.layer_types.bias_folding import (
    find_normalization,
    has_bias,
    normalizes_channels,
)
from keras_shapley_prune.layer_types.masked_calls import masks_at
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.repair.augmented_copies import AugmentedCopies, most_copies
from keras_shapley_prune.repair.depthwise import fit_scales
from keras_shapley_prune.repair.fits import (
    MAX_BYTES,
    collect_at,
    estimate_statistics,
    fit_bias,
    fit_matrix,
)
from keras_shapley_prune.repair.later_sums import find_later_sums
from keras_shapley_prune.repair.layer_data import depthwise_pairs
from keras_shapley_prune.repair.planned_steps import plan_calls
from keras_shapley_prune.repair.repaired_layers import RepairedLayers
from keras_shapley_prune.repair.skip_compensation import is_fitted
from keras_shapley_prune.repair.targets import (
    LayerTarget,
    RecordedTargets,
    is_returned,
    record_targets,
)
from keras_shapley_prune.trace.finite_weights import check_weights
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.graph import find_dependents


class Repairer:
    """Takes a smaller network forward together with the original, and repairs it.

    Before a layer is run that reads other values than in the original, it is refitted
    so that it returns what the original's returns. So each layer is fitted on a network
    that is pruned and repaired up to there. Where it is known already what the original
    returns, only the smaller network is run. Units can be masked on the way (`remove`)
    if it is a copy of the full size, from which none has been cut out.

    Args:
        cut: The `Cut`, of whose model the weights are repaired.
        batches: List of lists of input tensors, one list a batch.
        method: String, see `repair_channels`.
        ridge: Float, see `solve_towards`, or `None` to choose it for each layer on a
            fifth of the examples that is held out.
        targets: `RecordedTargets`, filled or not, or `None`. Those that are filled are
            of the same examples, and their `batches` are used.
        checkpoint: The `Checkpoint` that keeps the weights of each repaired layer, or
            `None`.

    Attributes:
        model: The smaller `keras.Model`.
        channel_map: The `ChannelMap` of the smaller network: the units, groups and
            symbolic tensors of the original, the operations of the smaller one.
        keep: Boolean array, shape `(num_units,)`: false for units that are masked.
        ridge: Float or `None`.
        memory_for_rows: Integer, the bytes of what a layer reads and should return
            that may be held while it is fitted.
        num_examples: Integer, of all workers.
        workers: The `Workers`, see `Workers.takes` for who runs which batch.
        own_batches: List of integers, the batches that are this worker's.
    """

    def __init__(
        self,
        cut,
        batches,
        method="least_squares",
        ridge=None,
        targets=None,
        checkpoint=None,
    ):
        original = cut.channel_map
        check_finite_inputs(original.graph.inputs, batches)
        check_weights(original)
        self._cut, self.model = cut, cut.model
        self._targets = targets or RecordedTargets()
        targets = self._targets
        groups = [g for g in original.groups if not cut.keep[g.units].all()]
        if targets.batches is None and groups and method == "least_squares":
            record_targets(targets, original, groups, batches)
        batches = batches if targets.batches is None else targets.batches
        self.channel_map = cut.smaller_map
        self.keep = np.ones(original.num_units, bool)
        self.ridge, self._method = ridge, method
        self.workers = current_workers()
        numbers = range(len(batches))
        self.own_batches = [k for k in numbers if self.workers.takes(k)]
        sizes = [int(inputs[0].shape[0]) for inputs in batches]
        self.num_examples = sum(sizes)
        self._firsts = list(itertools.accumulate(sizes, initial=0))
        self._repaired = RepairedLayers(cut.graph, checkpoint, self.workers)
        self._calls_of = {}
        for call in cut.graph.calls:
            self._calls_of.setdefault(call.operation, []).append(call)
        # A network that draws anew in every run does not return what it is to return.
        drawn = find_dependents(cut.graph, original.graph.unrepeatable)
        self._unrepeatable = set(drawn)
        # Not if a bias is all that is fitted: a mean says little of what is added.
        least_squares = method == "least_squares"
        self._later = find_later_sums(cut) if least_squares else {}
        self._dirty = self._find_dirty()
        # What targets leave is shared by the two networks and the copies of the data,
        # but for those that will not be run.
        share = max(targets.memory - targets.num_bytes, 1)
        # A quarter of it is for the rows of the layer that is fitted.
        self.memory_for_rows = min(share // 4, MAX_BYTES)
        share -= self.memory_for_rows
        if not self._is_original_known():
            share = max(share // 3, 1)
        self._original = ForwardPass(original.graph, batches, memory=share)
        self._pruned = ForwardPass(cut.graph, batches, self.find_masks, share)
        self._copies = AugmentedCopies(batches, share)
        self._cut_where_repaired()

    def _cut_where_repaired(self):
        """Cuts both networks where a layer may be repaired, see `Segments.cut_at`."""
        changed, original = self._dirty, self._cut.channel_map
        if self._cut.keep.all():  # units may be masked on the way
            changed = self.channel_map.changed_calls(original.without(original.groups))
        for call in changed:
            if not self._can_repair(call):
                continue
            self._pruned.cut_at([call.index])
            behind = self._method == "least_squares" and is_returned(
                original.graph, self.twin(call)
            )
            self._original.cut_at([call.index, call.index + behind])

    def _is_original_known(self):
        """Returns whether neither the original nor a copy of the data will be run."""
        if self._method != "least_squares" or most_copies(self.num_examples):
            return False
        fitted = [call for call in self._dirty if is_fitted(call.operation)]
        return self._is_known(fitted)

    def _is_known(self, calls):
        """Returns whether targets of calls are known, at the positions they have."""
        # What was recorded is what the layer should return where no block is removed.
        if any(call.index in self._later for call in calls):
            return False
        whole = all(self.kept_positions(call) is None for call in calls)
        return whole and self._targets.has(calls)

    @property
    def position(self):
        """Integer, the index of the next call."""
        return self._pruned.position

    def cut_at(self, positions):
        """Cuts where somebody may stop, see `Segments.cut_at`."""
        self._pruned.cut_at(positions)

    @property
    def num_batches(self):
        """Integer, of all workers."""
        return self._pruned.num_batches

    def values(self, batch):
        """Returns the values of the smaller network, see `ForwardPass.values`."""
        return self._pruned.values(batch)

    def look_ahead(self, batch, position):
        """Returns the values of it further on, see `ForwardPass.look_ahead`."""
        return self._pruned.look_ahead(batch, position)

    def remove(self, units):
        """Masks units from here on; the calls to come read the network without.

        Args:
            units: Integer array.
        """
        if not self._cut.keep.all():
            raise ValueError("Expected a copy of the full size, to mask units of.")
        self.keep[units] = False
        self._dirty = self._find_dirty()
        self._pruned.forget()

    def find_masks(self, call):
        """The `find_masks` under which the network is without the masked units."""
        if self.keep.all():
            return {}
        return masks_at(self.channel_map, self.keep, call)

    def read(self, form, call, values):
        """Returns what a linear layer reads here, but for the mask there."""
        return form.read(call, call.read(values), self.find_masks(call))

    def columns_left(self, form, call):
        """Returns which columns of a layer's rows masked units do not supply."""
        if self.keep.all():
            return np.ones(len(form.channel_of), bool)
        ids = self.channel_map.sites.get((call.index, form.site))
        mask = np.array([True]) if ids is None else kept(self.keep, ids)
        return np.broadcast_to(mask, form.channel_of.max() + 1)[form.channel_of]

    def passes(self, calls, num_copies=0):
        """Yields each call with each batch of this worker, and what to fit there.

        Args:
            calls: List of calls of a fitted layer, from `position` on.
            num_copies: Integer, how many `AugmentedCopies` of the data follow it.

        Yields:
            Tuple of the call, the number of the batch's first example in all data, a
            callable `fn(positions)` that returns the target there (see `LayerTarget`),
            and the values of the smaller network before it.
        """
        main, known = (self._original, self._pruned), self._is_known(calls)
        for call in calls:
            target = self._target(call)
            index = call.index + target.is_returned
            pairs = [main, *self._copies.take(num_copies, *main)]
            for original, pruned in pairs:
                for batch in self.own_batches:
                    after = pruned.look_ahead(batch, call.index)
                    if known and original is self._original:
                        find = functools.partial(self._targets.at, call, batch, after)
                    else:
                        before = original.look_ahead(batch, index)
                        find = functools.partial(target.at, before)
                    find = self._of_kept(call, find)
                    yield call, self._firsts[batch], find, after

    def _target(self, call):
        """Returns the `LayerTarget` of a call."""
        graph = self._cut.channel_map.graph
        return LayerTarget(graph, self.twin(call), self._later.get(call.index))

    def _of_kept(self, call, find):
        """Returns a callable that returns the kept outputs of what `find` returns."""
        outputs, places = self.kept_outputs(call), self.kept_positions(call)

        def find_kept(positions):
            # Positions are those of the smaller network; the original may have more.
            if places is not None:
                positions = places if positions is None else places[positions]
            target = find(positions)
            return target if outputs is None else tf.gather(target, outputs, axis=-1)

        return find_kept

    def kept_outputs(self, call):
        """Returns which outputs of the original's layer are kept.

        Args:
            call: A `Call` of the smaller network.

        Returns:
            Integer array, or `None` for all.
        """
        mask = kept(self._cut.keep, self.channel_map.ids[call.outputs[0]])
        return None if mask.all() else np.flatnonzero(mask)

    def kept_positions(self, call):
        """Returns which positions of the original's layer are kept.

        Args:
            call: A `Call` of the smaller network.

        Returns:
            Integer array, or `None` for all.
        """
        return self.channel_map.kept_positions(self._cut.keep, call.outputs[0])

    def both(self, *calls):
        """Yields each call with each batch of this worker, and the values before it.

        Args:
            *calls: Calls of the smaller network from `position` on.

        Yields:
            Tuple of the call, and the values in the original and in the smaller
            network.
        """
        for call in calls:
            for batch in self.own_batches:
                before = self._original.look_ahead(batch, call.index)
                yield call, before, self._pruned.look_ahead(batch, call.index)

    def twin(self, call):
        """Returns the original's call that one of the smaller network stands for."""
        return self._cut.channel_map.graph.calls[call.index]

    def has_changed(self, call):
        """Returns whether a call reads something else than its twin."""
        return call in self._dirty

    def collect(self, call, position):
        """Returns what `collect_at` does."""
        return collect_at(self, call, position)

    def advance(self, position, progress=None):
        """Runs the calls before `position`, and repairs them as they come.

        Args:
            position: Integer, the index of a call.
            progress: A `Progress` in whose step all calls are repaired, or `None`.
        """
        seconds = plan_calls(self._cut.channel_map, self._cut.keep) if progress else []
        for index in range(self.position, position):
            call = self.channel_map.graph.calls[index]
            calls = self._calls_of[call.operation]
            if calls[0] is call and self._is_repaired(calls):
                if progress is not None:
                    progress.show(f"repairing {call.name}")
                self._original.advance(index)
                self._pruned.advance(index)
                if not self._repaired.restore(calls):
                    self._repair(calls)
                    self._repaired.share(calls)
                    self._check_repaired(calls[0])
                    self._repaired.keep(calls)
            if progress is not None:
                progress.add(seconds[index] / sum(seconds))
        self._original.advance(position)
        self._pruned.advance(position)

    def _find_dirty(self):
        """Returns the calls that read, or should return, something else."""
        changed = self.channel_map.changed_calls(self.keep & self._cut.keep)
        return {*changed, *(self.channel_map.graph.calls[i] for i in self._later)}

    def _is_repaired(self, calls):
        """Returns whether a layer reads something else, and can be repaired."""
        return not self._dirty.isdisjoint(calls) and self._can_repair(calls[0])

    def _can_repair(self, call):
        if self._method == "batchnorm":
            return normalizes_channels(call)
        return is_fitted(call.operation)

    def _check_repaired(self, call):
        """Raises a `ValueError` unless what has been fitted is finite as it is stored.

        A sum in double precision may be, and overflow as a weight.
        """
        following = find_normalization(self.channel_map.graph, call)
        fitted = [one.operation for one in (call, following) if one is not None]
        check_weights(self.channel_map, fitted, "finite weights after repair")

    def _repair(self, calls):
        """Repairs one layer, over all its calls."""
        operation = calls[0].operation
        if self._method == "batchnorm":
            estimate_statistics(self, calls)
            return
        form = find_linear_form(operation)
        following = find_normalization(self.channel_map.graph, calls[0])
        normalization = following.operation if following and len(calls) == 1 else None
        with_bias = has_bias(operation)
        can_shift = with_bias or normalization is not None
        # Means are the same, whatever is drawn.
        means = self._method == "mean" or not self._unrepeatable.isdisjoint(calls)
        recorded = self._targets.has(calls) and calls[0].index not in self._later
        known = means or recorded
        if not known and self._target(calls[0]).is_returned:
            self._original.advance(calls[0].index + 1)  # it is not run twice
        if means:
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
