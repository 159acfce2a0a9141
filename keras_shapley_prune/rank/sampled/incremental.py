"""Walks that subtract what a unit contributes, where that is cheaper than a layer.

A walk removes one unit a step. The output, before the activation, of a linear layer
that reads the units is a sum over them: `y(S) = b + sum(x_u W_u for u in S)`, where
`x_u` is what the layer reads of unit u, and `W_u` are the rows of its kernel for that
unit. A step subtracts one term `x_u W_u` and runs only what is left of the suffix. That
holds for one layer of a suffix: behind the activation all of its outputs have changed.
"""

import collections
import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.plan.flops import estimate_cost
from keras_shapley_prune.rank.estimators.permutation import WalkEstimator
from keras_shapley_prune.rank.estimators.walks import OUT, left_after
from keras_shapley_prune.rank.sampled.game import repeat_batch
from keras_shapley_prune.rank.sampled.unit_terms import UnitTerms

_FREE_WALKS = 64  # where nothing follows the layer
_A_FREE_WALK = 0.4  # of what is planned for one that runs the layer
_WORTHWHILE = 1  # times cheaper than to run the layer
# In floating-point operations of a convolution: small matrix products run slower than
# those, and an element that is subtracted and copied costs as much as many.
_A_PRODUCT, _AN_ELEMENT = 8, 68


class IncrementalWalk:
    """Walks of one group, whose units a linear layer reads.

    Args:
        suffix: The `Suffix` of the group.
        call: A call that reads the units, and nothing else that masks change.
        columns_of: Integer array, shape `(num_units, k)`: the columns of the layer's
            rows that belong to each unit.
        share: Float, what a step costs, as a share of the whole suffix.

    Attributes:
        call: The call.
    """

    def __init__(self, suffix, call, columns_of, share=1.0):
        self._suffix, self.call, self._share = suffix, call, share
        self._form = find_linear_form(call.operation)
        self._terms = UnitTerms(self._form, columns_of)

    @property
    def num_free(self):
        """Integer, how many walks take the place of one without increments.

        Where the layer is the last of the network, a step costs next to nothing: all of
        these walks take as long as 2 to 12 without increments.
        """
        return _FREE_WALKS if len(self._suffix.calls) == 1 else 1

    def share_of_cost(self, estimator):
        """Returns what a sample costs, as a share of one without increments.

        Args:
            estimator: An `OutputEstimator`.
        """
        if not isinstance(estimator, WalkEstimator):
            return 1.0
        # In a large batch, as free walks make, each of them costs far less.
        free = estimator.walks and self.num_free > 1
        return self.num_free * _A_FREE_WALK if free else self._share

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
        cut, *rest = data
        # Units that are out of play are masked from the start.
        present = tf.cast(ranks != OUT, tf.float32)
        read = self.call.read(dict(zip(self._suffix.cut, cut, strict=True)))
        masks = self._suffix.masker.masks(present)(self.call)
        inputs = self._form.read(self.call, read, masks)
        start, shifts = self._start(inputs, masks, present)
        terms, kept = self._terms.split(inputs), self._suffix.cut_after(self.call)
        # The unit that each step removes: the inverse of `ranks`, `(steps, batch)`.
        # Units that no step removes come last.
        order = tf.argsort(tf.where(ranks == OUT, ranks.shape[1], ranks), stable=True)
        order = tf.transpose(order)

        def change_by(units):
            change = tf.reshape(self._terms.of(terms, units), tf.shape(start))
            if shifts is not None:
                change -= _to_rank(tf.gather(shifts, units), start.shape.rank)
            return change

        def evaluate(outputs, steps, copies):
            coalitions = tf.reshape(left_after(ranks, steps), [-1, ranks.shape[1]])
            others, *repeated = [
                repeat_batch(part, copies) for part in ([cut[i] for i in kept], *rest)
            ]
            outputs = self._suffix.run_after(
                self.call, self._form.activate(outputs), others, coalitions
            )
            return worth(outputs, repeated)

        # The ends too, though they may be known: rounded in the same way, values do not
        # change where a unit contributes nothing.
        first = evaluate(start, tf.constant([0]), 1)[tf.newaxis]
        values = walk_from(start, change_by, order[:num_steps], evaluate, fold)
        return tf.concat([first, values], axis=0)

    def _start(self, inputs, masks, present):
        """Returns what the layer has with all units in play, and what shifts it."""
        start = self._form.apply(self._form.mask(inputs, masks[self._form.site]))
        shift = self._suffix.shift_of(self.call)
        if shift is None:
            return start, None
        by_unit = tf.constant(shift.by_unit, tf.float32)
        # What is read of a removed unit is its mean.
        removed = tf.matmul(1 - present, by_unit)
        return start + _to_rank(removed, start.shape.rank), by_unit


def walk_from(start, change_by, order, evaluate, fold):
    """Returns the values along a walk, the first one left out.

    Args:
        start: Tensor, shape `(batch, ...)`, the state before the first step.
        change_by: Callable: int32 tensor, shape `(batch,)`, of units -> what the state
            loses by them.
        order: Int32 tensor, shape `(num_steps, batch)`, the units of each step.
        evaluate: Callable: `(states, steps, copies)` -> values, of states after
            several steps: whole batches, one after the other.
        fold: Integer tensor, how many steps are evaluated at once.

    Returns:
        Float tensor, shape `(num_steps, batch)`.
    """
    num_steps, batch = tf.shape(order)[0], tf.shape(order)[1]

    def next_step(index, removed, first, states):
        removed += change_by(order[first + index])
        return index + 1, removed, first, states.write(index, start - removed)

    def next_round(first, removed, values):
        count = tf.minimum(fold, num_steps - first)
        states = tf.TensorArray(tf.float32, count, element_shape=start.shape)
        # What has been removed carries on. Its rounding errors grow with the walk, by
        # one addition a step: they stay far below the noise of the samples.
        _, removed, _, states = tf.while_loop(
            lambda index, *_: index < count,
            next_step,
            (0, removed, first, states),
            parallel_iterations=1,
        )
        # What follows the layer runs on a batch of `count * batch` examples.
        states = tf.ensure_shape(states.concat(), [None, *start.shape[1:]])
        steps = first + 1 + tf.range(count)
        worths = tf.reshape(evaluate(states, steps, count), [count, batch])
        return first + count, removed, values.write(first // fold, worths)

    values = tf.TensorArray(
        tf.float32, -(-num_steps // fold), element_shape=[None, None], infer_shape=False
    )
    _, _, values = tf.while_loop(
        lambda first, *_: first < num_steps,
        next_round,
        (0, tf.zeros_like(start), values),
        parallel_iterations=1,
    )
    return values.concat()


def plan_incremental(suffix):
    """Returns the `IncrementalWalk` of a group if it pays, else `None`.

    It is decided by a count, not by the clock: the same model and data give the same
    values.

    Args:
        suffix: A `Suffix`.
    """
    costs = {call: estimate_cost(call) for call in suffix.calls}
    if None in costs.values():
        return None
    whole, num_units = sum(costs.values()), suffix.num_units
    walk, most = None, 0
    for call, _, columns in find_readers(suffix):
        outputs = math.prod(call.outputs[0].shape[1:])
        a_step = outputs * (_A_PRODUCT * columns.shape[1] + _AN_ELEMENT)
        # The ends of a walk, where all and no units are there, are evaluated twice.
        share = (whole - costs[call] + a_step) / whole
        reduced = (num_units + 3) * share * whole
        saved = (num_units + 1) * whole - _WORTHWHILE * reduced
        # Where the layer is the last of the network, walks are all but free: always.
        if saved > most or len(costs) == 1:
            walk, most = IncrementalWalk(suffix, call, columns, share), saved
    return walk


def find_readers(suffix):
    """Yields the linear layers that read the units as they enter the suffix.

    Args:
        suffix: A `Suffix`.

    Yields:
        Tuple of a call, its `LinearForm`, and the columns of each unit, see
        `IncrementalWalk`.
    """
    calls = {call.index: call for call in suffix.calls}
    read_at = collections.Counter(index for index, _ in suffix.masker.sites)
    for index, position in suffix.masker.sites:
        call, form = calls[index], find_linear_form(calls[index].operation)
        if form is None or position != form.site or read_at[index] > 1:
            continue
        # Behind another reader, more than single units changes from step to step.
        if not set(suffix.cut).issuperset(call.inputs):
            continue
        units = suffix.masker.columns((index, position))[form.channel_of]
        columns = [np.flatnonzero(units == unit) for unit in range(suffix.num_units)]
        if len({len(found) for found in columns}) == 1:  # the terms are one tensor
            yield call, form, np.stack(columns)


def _to_rank(tensor, rank):
    """Inserts axes of length 1 before the last one."""
    for _ in range(rank - tensor.shape.rank):
        tensor = tensor[..., tf.newaxis, :]
    return tensor
