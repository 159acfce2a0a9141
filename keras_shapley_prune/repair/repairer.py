"""The walk from input to output on which each layer makes up for what is missing."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.channel_map import FIXED, kept
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.frontier import Frontier
from keras_shapley_prune.layer_specs import find_linear_form
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.ridge import RIDGE, solve_towards
from keras_shapley_prune.repair.scales import apply_depthwise, fit_scales
from keras_shapley_prune.repair.targets import SkipCompensation, find_normalization
from keras_shapley_prune.surgery import remove_channels


class Repairer:
    """Takes a copy of a network forward together with the original, and repairs it.

    The copy has its full size, removed units are masked. Before a layer is run that
    reads other values than in the original, it is refitted by least squares so that
    it returns what the original's returns. So each layer is fitted on a network that
    is pruned and repaired up to there.

    Args:
        model: The original `keras.Model`.
        channel_map: Its `ChannelMap`.
        batches: List of lists of input tensors, one list a batch.
        keep: Boolean array, shape `(num_units,)`, or `None` if nothing is removed
            yet.
        ridge: Float, see `solve_towards`.

    Attributes:
        model: The copy.
        channel_map: The `ChannelMap` of the copy: the same units and groups.
        keep: Boolean array: the units that have not been removed.
    """

    def __init__(self, model, channel_map, batches, keep=None, ridge=RIDGE):
        whole = np.ones(channel_map.num_units, bool)
        self.model = remove_channels(model, whole, channel_map)
        self.channel_map = trace_channels(self.model)
        self.keep = whole if keep is None else np.array(keep)
        self._ridge = ridge
        self._graphs = channel_map.graph, self.channel_map.graph
        self._original = Frontier(channel_map.graph, batches)
        self._pruned = Frontier(self.channel_map.graph, batches, self.mask)

    @property
    def position(self):
        """Integer, the index of the next call."""
        return self._pruned.position

    @property
    def num_batches(self):
        """Integer."""
        return self._pruned.num_batches

    def values(self, batch):
        """Returns the values of the copy, see `Frontier.values`."""
        return self._pruned.values(batch)

    def look_ahead(self, batch, position):
        """Returns the values of the copy further on, see `Frontier.look_ahead`."""
        return self._pruned.look_ahead(batch, position)

    def remove(self, units):
        """Masks units from here on; the calls to come read the network without."""
        self.keep[units] = False

    def mask(self, call, position, value):
        """The `edit_input` under which removed units are read as zero."""
        ids = self.channel_map.sites.get((call.index, position))
        if ids is None or kept(self.keep, ids).all():
            return value
        return value * tf.cast(kept(self.keep, ids), value.dtype)

    def advance(self, position):
        """Runs the calls before `position`, and repairs them as they come."""
        for index in range(self.position, position):
            call = self._graphs[1].calls[index]
            calls = [c for c in self._graphs[1].calls if c.operation is call.operation]
            if calls[0] is call and not self._dirty().isdisjoint(calls):
                self._refit(calls)
            self._original.advance(index + 1)
            self._pruned.advance(index + 1)

    def _dirty(self):
        """Returns the calls that read something else than the original's do."""
        changed, dirty = set(), set()
        for call in self._graphs[1].calls:
            for position, tensor in enumerate(call.inputs):
                ids = self.channel_map.sites.get((call.index, position), [FIXED])
                if tensor in changed or not kept(self.keep, ids).all():
                    dirty.add(call)
                    changed.update(call.outputs)
        return dirty

    def _refit(self, calls):
        """Fits one layer, over all its calls."""
        normalization = self._find_normalization(calls)
        operation = calls[0].operation
        can_shift = getattr(operation, "use_bias", False) or normalization is not None
        form = find_linear_form(operation)
        if form is not None:
            bias = self._fit_matrix(form, calls, can_shift)
        elif isinstance(operation, keras.layers.DepthwiseConv2D):
            bias = fit_scales(operation, self._depthwise_pairs(calls), can_shift)
        else:
            return
        if getattr(operation, "use_bias", False):
            operation.bias.assign(bias)
        elif normalization is not None:
            mean = normalization.moving_mean
            mean.assign(mean - tf.cast(bias, mean.dtype))

    def _fit_matrix(self, form, calls, can_shift):
        """Sets the kernel of a linear layer and returns the bias to go with it."""
        wanted = find_linear_form(self._twin(calls[0]).operation)
        ids = self.channel_map.sites.get((calls[0].index, 0))
        mask = np.array([True]) if ids is None else kept(self.keep, ids)
        stays = np.broadcast_to(mask, form.channel_of.max() + 1)[form.channel_of]
        matrix = np.zeros(form.matrix.shape)
        gram = Gram(int(stays.sum()), matrix.shape[1])
        for call, before, after in self._passes(calls):
            lacking = SkipCompensation(*self._graphs, self._twin(call))
            target = wanted.apply(before[self._twin(call).inputs[0]])
            target = target + lacking(before, after)
            rows = form.rows(after[call.inputs[0]])
            gram.add(
                rows if stays.all() else tf.boolean_mask(rows, stays, axis=2), target
            )
        mean_x, mean_y, xx, xy, _ = gram.covariances(centred=can_shift)
        matrix[stays] = solve_towards(xx, xy, form.matrix[stays], self._ridge)
        form.assign(matrix)
        return mean_y - mean_x @ matrix[stays]

    def _depthwise_pairs(self, calls):
        for call, before, after in self._passes(calls):
            twin = self._twin(call)
            yield (
                apply_depthwise(call.operation, after[call.inputs[0]]),
                apply_depthwise(twin.operation, before[twin.inputs[0]], bias=True),
            )

    def _passes(self, calls):
        """Yields each call with each batch, and the values in both networks."""
        for call in calls:
            for batch in range(self.num_batches):
                before = self._original.look_ahead(batch, call.index)
                after = self._pruned.look_ahead(batch, call.index)
                yield call, before, after

    def _twin(self, call):
        return self._graphs[0].calls[call.index]

    def _find_normalization(self, calls):
        """Returns the one BatchNormalization after a layer that is called once."""
        following = find_normalization(self._graphs[1], calls[0])
        return following.operation if following and len(calls) == 1 else None
