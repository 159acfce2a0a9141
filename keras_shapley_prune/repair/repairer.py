"""The walk from input to output on which each layer makes up for what is missing."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.channel_map import FIXED, kept
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.folding import find_normalization, normalizes_channels
from keras_shapley_prune.frontier import Frontier
from keras_shapley_prune.layer_specs import find_linear_form
from keras_shapley_prune.repair.gram import Gram
from keras_shapley_prune.repair.ridge import choose_ridge, solve_towards
from keras_shapley_prune.repair.scales import apply_depthwise, fit_scales, is_depthwise
from keras_shapley_prune.repair.targets import SkipCompensation
from keras_shapley_prune.surgery import remove_channels

ROWS_A_COLUMN = 64  # more positions than that tell a fit nothing new


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
        method: String, see `repair_channels`.
        ridge: Float, see `solve_towards`, or `None` to choose it for each layer on a
            fifth of the examples that is held out.

    Attributes:
        model: The copy.
        channel_map: The `ChannelMap` of the copy: the same units and groups.
        keep: Boolean array: the units that have not been removed.
    """

    def __init__(
        self, model, channel_map, batches, keep=None, method="least_squares", ridge=None
    ):
        whole = np.ones(channel_map.num_units, bool)
        self.model = remove_channels(model, whole, channel_map)
        self.channel_map = trace_channels(self.model)
        self.keep = whole if keep is None else np.array(keep)
        self._method, self._ridge = method, ridge
        self._num_examples = sum(int(x[0].shape[0]) for x in batches)
        self._graphs = channel_map.graph, self.channel_map.graph
        self._original = Frontier(channel_map.graph, batches)
        self._pruned = Frontier(self.channel_map.graph, batches, self.edit_input)

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

    def edit_input(self, call, position, value):
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
                self._repair(calls)
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

    def _repair(self, calls):
        """Repairs one layer, over all its calls."""
        operation = calls[0].operation
        if self._method == "batchnorm":
            if normalizes_channels(calls[0]):
                self._estimate_statistics(operation, calls)
            return
        form = find_linear_form(operation)
        if form is None and not is_depthwise(operation):
            return
        normalization = self._find_normalization(calls)
        has_bias = getattr(operation, "use_bias", False)
        can_shift = has_bias or normalization is not None
        if self._method == "mean":
            bias = self._fit_bias(form, calls) if can_shift else None
        elif form is None:
            bias = fit_scales(operation, self._depthwise_pairs(calls), can_shift)
        else:
            if len(calls) > 1:  # a later call may read what the first one returns
                self._fit_matrix(form, calls[:1], can_shift)
            bias = self._fit_matrix(form, calls, can_shift)
        if has_bias:
            operation.bias.assign(bias)
        elif normalization is not None:
            mean = normalization.moving_mean
            mean.assign(mean - tf.cast(bias, mean.dtype))

    def _estimate_statistics(self, normalization, calls):
        """Sets the statistics of a BatchNormalization to those of what it reads."""
        rows = [
            _flatten(after[call.inputs[0]]) for call, _, after in self._passes(calls)
        ]
        count = sum(int(r.shape[0] * r.shape[1]) for r in rows)
        mean = sum(tf.reduce_sum(r, axis=[0, 1]) for r in rows) / count
        square = sum(tf.reduce_sum((r - mean) ** 2, axis=[0, 1]) for r in rows) / count
        normalization.moving_mean.assign(mean)
        normalization.moving_variance.assign(square)

    def _fit_bias(self, form, calls):
        """Returns the bias under which a layer's outputs have their old mean."""
        wanted, seen, count = 0.0, 0.0, 0
        for call, before, after in self._passes(calls):
            twin = self._twin(call)
            inputs = self.edit_input(call, 0, after[call.inputs[0]])
            if form is None:
                target = apply_depthwise(
                    twin.operation, before[twin.inputs[0]], bias=True
                )
                outputs = apply_depthwise(call.operation, inputs)
            else:
                target = find_linear_form(twin.operation).apply(before[twin.inputs[0]])
                outputs = form.apply(inputs)
                outputs = outputs if form.bias is None else outputs - form.bias
            target, outputs = _flatten(target), _flatten(outputs)
            wanted = wanted + tf.reduce_sum(target, axis=[0, 1]).numpy()
            seen = seen + tf.reduce_sum(outputs, axis=[0, 1]).numpy()
            count += int(target.shape[0] * target.shape[1])
        return (wanted - seen) / count

    def collect(self, form, calls, rows_of):
        """Returns second moments of what a layer reads with what it should return.

        Args:
            form: The `LinearForm` of a layer of the copy.
            calls: List of its calls.
            rows_of: Callable: input tensor -> rows, `(batch, positions, columns)`.

        Returns:
            Tuple of two `Gram`s: of four fifths of the examples, and of the rest.
        """
        wanted = find_linear_form(self._twin(calls[0]).operation)
        grams = None
        for call, before, after in self._passes(calls):
            lacking = SkipCompensation(*self._graphs, self._twin(call))
            target = wanted.apply(before[self._twin(call).inputs[0]])
            target = _flatten(target + lacking(before, after))
            rows = rows_of(after[call.inputs[0]])
            rows, target = self._thin_out(rows, target)
            if grams is None:
                shape = int(rows.shape[-1]), int(target.shape[-1])
                grams = Gram(*shape), Gram(*shape)
            fifth = np.arange(len(rows)) % 5
            for gram, chosen in zip(grams, (fifth > 0, fifth == 0), strict=True):
                if chosen.any():
                    examples = np.flatnonzero(chosen)
                    gram.add(tf.gather(rows, examples), tf.gather(target, examples))
        return grams

    def collect_at(self, call, position, max_columns):
        """Returns the moments of what one call reads, as it is to be reconstructed.

        Of a layer with more columns than `max_columns` the taps are not told apart:
        what each tap contributes to the output is reconstructed by itself. What a
        layer reads that has no `LinearForm` is reconstructed itself.

        Args:
            call: A `Call` of the copy that has not been passed yet.
            position: Integer, which of its inputs.
            max_columns: Integer.

        Returns:
            Tuple of a `Gram`, the weights it belongs to, and the channel of the input
            that each column comes from.
        """
        form = find_linear_form(call.operation)
        channels = np.arange(call.inputs[position].shape[-1])
        if form is not None and len(form.channel_of) <= max_columns:
            rest, held_out = self.collect(form, [call], form.rows)
            return rest + held_out, form.matrix, form.channel_of
        weights = np.eye(len(channels))
        if form is not None:
            taps = form.matrix.reshape(-1, len(channels), form.matrix.shape[1])
            weights = np.linalg.qr(np.concatenate(list(taps), 1).T, mode="r").T
        gram = Gram(len(channels), weights.shape[1])
        for _, before, after in self._passes([call]):
            rows = _flatten(after[call.inputs[position]])
            target = _flatten(before[self._twin(call).inputs[position]])
            rows, target = self._thin_out(rows, target)
            gram.add(rows, tf.matmul(target, tf.constant(weights, tf.float32)))
        return gram, weights, channels

    def columns_left(self, form, call):
        """Returns which columns of a layer's rows removed units do not supply."""
        ids = self.channel_map.sites.get((call.index, 0))
        mask = np.array([True]) if ids is None else kept(self.keep, ids)
        return np.broadcast_to(mask, form.channel_of.max() + 1)[form.channel_of]

    def _fit_matrix(self, form, calls, can_shift):
        """Sets the kernel of a linear layer and returns the bias to go with it."""
        stays = self.columns_left(form, calls[0])

        def rows_left(inputs):
            rows = form.rows(inputs)
            return rows if stays.all() else tf.boolean_mask(rows, stays, axis=2)

        rest, held_out = self.collect(form, calls, rows_left)
        prior, ridge = form.matrix[stays], self._ridge
        if ridge is None:
            ridge = choose_ridge(rest, held_out, prior, can_shift)
        mean_x, mean_y, xx, xy, _ = (rest + held_out).covariances(can_shift)
        matrix = np.zeros(form.matrix.shape)
        matrix[stays] = solve_towards(xx, xy, prior, ridge)
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

    def _thin_out(self, rows, target):
        """Returns as many random positions of each example as a fit needs."""
        positions = rows.shape[1]
        wanted = -(-ROWS_A_COLUMN * rows.shape[2] // self._num_examples)
        if wanted >= positions:
            return rows, target
        chosen = np.random.default_rng(0).permutation(positions)[:wanted]
        return tf.gather(rows, chosen, axis=1), tf.gather(target, chosen, axis=1)

    def _twin(self, call):
        return self._graphs[0].calls[call.index]

    def _find_normalization(self, calls):
        """Returns the one BatchNormalization after a layer that is called once."""
        following = find_normalization(self._graphs[1], calls[0])
        return following.operation if following and len(calls) == 1 else None


def _flatten(tensor):
    """Returns a tensor as `(batch, positions, channels)`, float32."""
    tensor = tf.cast(tensor, tf.float32)
    return tf.reshape(tensor, [tensor.shape[0], -1, tensor.shape[-1]])
