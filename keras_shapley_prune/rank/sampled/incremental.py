"""Walks that subtract what a unit contributes, where that is cheaper than a layer.

A walk removes one unit a step. Where one layer reads the units, its output before the
activation is a sum over them: `y(S) = b + sum(x_u W_u for u in S)`, where `x_u` is what
the layer reads of unit u, and `W_u` are the rows of its kernel for that unit. A step
subtracts one term `x_u W_u` and runs only what follows the layer.
"""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.plan.flops import estimate_cost
from keras_shapley_prune.rank.estimators.walks import OUT, left_after
from keras_shapley_prune.rank.sampled.game import repeat_batch

_FOLD = 4  # times the steps at once that a whole suffix takes
_FREE_WALKS = 64  # where nothing follows the layer
_WORTHWHILE = 2  # times cheaper than to run the layer
# In floating-point operations of a convolution: small matrix products run slower than
# those, and an element that is gathered, summed up and copied costs as much as many.
_A_PRODUCT, _AN_ELEMENT = 40, 480


class IncrementalWalk:
    """Walks of one group whose units are read by one linear layer.

    Args:
        suffix: The `Suffix` of the group.
        call: The one call that reads the units.
        columns_of: Integer array, shape `(num_units, k)`: the columns of the layer's
            rows that belong to each unit.
    """

    def __init__(self, suffix, call, columns_of):
        self._suffix, self._call, self._columns_of = suffix, call, columns_of
        self._form = find_linear_form(call.operation)
        self._weights = self._form.matrix[columns_of].astype("float32")

    @property
    def num_free(self):
        """Integer, how many walks together cost less than one without increments.

        Where the layer is the last of the network, a step costs next to nothing.
        """
        return _FREE_WALKS if len(self._suffix.calls) == 1 else 1

    def run(self, data, worth, ranks, num_steps, fold):
        """Returns the value after each number of removals.

        Args:
            data: Tuple `(cut, *rest)` of (nested) tensors of the batch.
            worth: Callable `fn(outputs, *rest)` -> values, where `rest` is that of
                the batch as many times over.
            ranks: Int32 tensor, shape `(batch, num_units)`, see `draw_ranks`.
            num_steps: Integer tensor, how many units the longest walk removes.
            fold: Integer tensor, how many steps are evaluated at once.

        Returns:
            Float tensor, shape `(num_steps + 1, batch)`.
        """
        fold = _FOLD * fold
        cut, *rest = data
        batch = tf.shape(ranks)[0]
        # Units that are out of play are masked from the start.
        present = tf.cast(ranks != OUT, tf.float32)
        read = self._call.read(dict(zip(self._suffix.cut, cut, strict=True)))
        masks = self._suffix.masker.masks(present)(self._call)
        inputs = self._form.read(self._call, read, masks)
        masked = self._form.mask(inputs, masks[self._form.site])
        # The layer runs once, with all units in play: (batch, *positions, outputs).
        start = self._form.apply(masked)
        terms = self._split(inputs)  # (batch, units, positions, k)
        weights = tf.constant(self._weights)  # (units, k, outputs)
        shift = self._suffix.shift_of(self._call)
        if shift is not None:  # what is read of a removed unit is its mean
            by_unit = tf.constant(shift.by_unit, tf.float32)
            start += _to_rank(tf.matmul(1 - present, by_unit), start.shape.rank)
        kept = [cut[i] for i in self._suffix.cut_after(self._call)]
        # The unit that each step removes: the inverse of `ranks`. Units that no step
        # removes come last.
        order = tf.argsort(tf.where(ranks == OUT, ranks.shape[1], ranks), stable=True)

        def evaluate(outputs, steps, copies):
            coalitions = tf.reshape(left_after(ranks, steps), [-1, ranks.shape[1]])
            repeated = [repeat_batch(part, copies) for part in (kept, *rest)]
            outputs = self._form.activate(outputs)
            outputs = self._suffix.run_after(
                self._call, outputs, repeated[0], coalitions
            )
            return worth(outputs, repeated[1:])

        def next_round(first, outputs, values):
            # Several steps at once: the changes are summed along the steps, so that
            # what follows the layer runs on a batch of `fold * batch` examples.
            steps = tf.minimum(first + tf.range(fold), ranks.shape[1] - 1)
            units = tf.gather(order, steps, axis=1)  # (batch, fold)
            change = tf.matmul(
                tf.gather(terms, units, batch_dims=1), tf.gather(weights, units)
            )
            change = tf.reshape(change, [batch, fold, *start.shape[1:]])
            if shift is not None:
                change -= _to_rank(tf.gather(by_unit, units), change.shape.rank)
            removed = tf.cumsum(change, axis=1)
            after = outputs[:, tf.newaxis] - removed
            # Steps come first, as everywhere: whole batches, one after the other.
            swapped = tf.experimental.numpy.swapaxes(after, 0, 1)
            swapped = tf.reshape(swapped, [-1, *start.shape[1:]])
            worths = evaluate(swapped, steps + 1, fold)
            values = values.write(first // fold, tf.reshape(worths, [fold, batch]))
            # The last one carries on. Its rounding errors grow with the walk, by
            # one subtraction a step: they stay far below the noise of the samples.
            return first + fold, after[:, -1], values

        num_rounds = -(-num_steps // fold)
        values = tf.TensorArray(tf.float32, num_rounds, element_shape=[None, None])
        _, _, values = tf.while_loop(
            lambda first, *_: first < num_steps,
            next_round,
            (0, start, values),
            parallel_iterations=1,
        )
        whole = evaluate(start, tf.constant([0]), 1)
        return tf.concat([whole[tf.newaxis], values.concat()[:num_steps]], axis=0)

    def _split(self, inputs):
        """Returns the layer's rows by unit, `(batch, num_units, positions, k)`."""
        rows = self._form.rows(inputs)
        num_units, k = self._columns_of.shape
        rows = tf.gather(rows, self._columns_of.ravel(), axis=2)
        rows = tf.reshape(rows, [-1, rows.shape[1], num_units, k])
        return tf.transpose(rows, [0, 2, 1, 3])


def plan_incremental(suffix):
    """Returns the `IncrementalWalk` of a group if it pays, else `None`.

    It is decided by a count, not by the clock: the same model and data give the same
    values.

    Args:
        suffix: A `Suffix`.
    """
    sites = suffix.masker.sites
    if len(sites) != 1:
        return None
    ((index, _),) = sites
    (call,) = [c for c in suffix.calls if c.index == index]
    form = find_linear_form(call.operation)
    if form is None or sites[0][1] != form.site:
        return None
    costs = {c: estimate_cost(c) for c in suffix.calls}
    if None in costs.values():
        return None
    units = suffix.masker.columns(sites[0])[form.channel_of]
    columns = [np.flatnonzero(units == unit) for unit in range(suffix.num_units)]
    if len({len(found) for found in columns}) != 1:
        return None  # the terms could not be one tensor
    outputs = math.prod(call.outputs[0].shape[1:])
    a_step = outputs * (_A_PRODUCT * len(columns[0]) + _AN_ELEMENT)
    rest = sum(costs.values()) - costs[call]
    # What follows is run in both ways, so it only dilutes what is saved.
    pays = costs[call] + rest >= _WORTHWHILE * (a_step + rest)
    # Where the layer is the last of the network, walks are all but free: always.
    if not pays and rest:
        return None
    return IncrementalWalk(suffix, call, np.stack(columns))


def _to_rank(tensor, rank):
    """Inserts axes of length 1 before the last one."""
    for _ in range(rank - tensor.shape.rank):
        tensor = tensor[..., tf.newaxis, :]
    return tensor
