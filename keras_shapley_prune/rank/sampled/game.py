"""The game of one group: its units play for the value of the network."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.replicas import on_replicas
from keras_shapley_prune.rank.estimators.walks import (
    OUT,
    count_steps,
    evaluate_folded,
    left_after,
)


class OutputGame:
    """Estimates of one group on one batch, as one compiled step.

    Args:
        suffix: The `Suffix` of the group whose units are the players.
        value: The `Value` of the outputs.
        estimator: An `OutputEstimator`.
        fold_size: Integer. Coalitions are evaluated several at a time as long as
            they make no more than this many examples.
        incremental: An `IncrementalWalk`, or `None` to run the whole suffix at each
            step of a walk.
    """

    def __init__(self, suffix, value, estimator, fold_size, incremental=None):
        self.suffix, self._incremental = suffix, incremental
        self._value, self._estimator, self._fold_size = value, estimator, fold_size
        self._steps = {}

    @property
    def free_walks(self):
        """Integer, how many incremental walks go for one."""
        # More draws than asked for only where they are walks, and walks are nearly
        # free.
        walks_incrementally = self._incremental is not None and self._estimator.walks
        return self._incremental.num_free if walks_incrementally else 1

    @property
    def needs_reference(self):
        """Boolean, whether the value needs the outputs of the whole network."""
        return self._value.needs_reference

    def estimate(self, draw, data, places=None, matched=()):
        """Returns one estimate an example, shape `(batch, num_units)`.

        Args:
            draw: Array, shape `(batch, num_units)`, of the estimator.
            data: Tuple of a list of tensors, the values of `suffix.cut`; the labels of
                the batch, or `()`; the sample weights, or `()`; and a list of the whole
                network's outputs, or `()`.
            places: See `CoalitionValues`. `None` for a whole batch.
            matched: See `CoalitionValues`.
        """
        places = places_in(len(draw)) if places is None else places
        dtype = self._estimator.dtype
        return self._run(self._estimate, dtype, draw, data, places, matched)

    def ends(self, active, data):
        """Returns the values with all units in play and with none, `(batch, 2)`.

        Args:
            active: Boolean array, shape `(num_units,)`, the units in play.
            data: See `estimate`.
        """
        size = len(keras.tree.flatten(data)[0])
        draw = np.tile(active.astype("float32"), (size, 1))
        return self._run(self._find_ends, tf.float32, draw, data)

    def _run(self, function, dtype, draw, data, *others):
        """Returns what a function returns that is compiled with its first batch."""
        # Shapes and types are known with the first batch. The batch axis is open, so
        # all batches share one compiled step.
        name = function.__name__
        if name not in self._steps:
            cut, *rest = data
            rest, others_of = keras.tree.map_structure(_any_batch, (rest, others))
            draw_of = tf.TensorSpec([None, self.suffix.num_units], dtype)
            data_of = (self.suffix.cut_specs(cut), *rest)
            self._steps[name] = _compile(function, [draw_of, data_of, *others_of])
        return self._steps[name](draw, data, *others).numpy()

    def _estimate(self, draw, data, places, matched):
        values_of = self._open_values(draw, data, places, matched)
        return self._estimator.estimate(values_of, draw)

    def _find_ends(self, active, data):
        return tf.stack(self._open_values(active, data).ends(active), axis=1)

    def _open_values(self, draw, data, places=None, matched=()):
        batch = tf.shape(draw)[0]
        # As many coalitions at once as make `fold_size` examples: a small batch alone
        # would not fill the processor.
        fold = tf.maximum(self._fold_size // batch, 1)
        walk = self._incremental
        return CoalitionValues(
            self.suffix, self._value, data, batch, fold, walk, places, matched
        )


def places_in(size):
    """Returns where each of `size` examples stands in its batch, from 0 to 1.

    Args:
        size: Integer.

    Returns:
        Float32 array, shape `(size,)`.
    """
    return (np.arange(size, dtype="float32") + 0.5) / np.float32(size)


def _compile(function, signature):
    def step(*tensors):
        return on_replicas(function)(*tensors)

    compiled = tf.function(step, input_signature=signature, autograph=False)
    if tf.config.functions_run_eagerly():
        return compiled
    # As a `tf.function` it would warn of retracing, which TensorFlow counts by the code
    # object, and all games share one. They have to: the stacks of code objects from
    # which operations are made are not all freed, so that with code of its own for each
    # game a ranking leaves 2 MiB behind. Equal stacks are held once.
    return compiled.get_concrete_function()


def _any_batch(tensor):
    """Returns a `tf.TensorSpec` for batches of any size."""
    # Labels may be images, of one size in each batch.
    inner = [None] * (len(tensor.shape) - 2)
    shape = [None, *inner, *tensor.shape[1:][-1:]]
    return tf.TensorSpec(shape, tensor.dtype)


class CoalitionValues:
    """The values of coalitions on one batch: what an estimator sees of a game.

    Args:
        suffix: A `Suffix`.
        value: A `Value`.
        data: Tuple `(cut, labels, weights, reference)` of (nested) tensors.
        batch: Integer tensor, the number of examples.
        fold: Integer tensor, how many coalitions are evaluated at once.
        incremental: See `OutputGame`.
        places: Float tensor, shape `(batch,)`, in (0, 1): where in its batch an example
            stands, also if only a part of the batch is here.
        matched: Tuple of what `match` returns, if that is known.
    """

    def __init__(
        self,
        suffix,
        value,
        data,
        batch,
        fold,
        incremental=None,
        places=None,
        matched=(),
    ):
        self._suffix, self._value, self._incremental = suffix, value, incremental
        self._data, self._batch, self.fold = data, batch, fold
        self.places, self._matched = places, matched

    def __call__(self, coalitions, copies=1):
        """Returns the values of coalitions, shape `(copies * batch,)`.

        Args:
            coalitions: Float tensor, shape `(copies * batch, num_units)`, 1 for a
                unit that is in. The whole batch is evaluated `copies` times over.
            copies: Integer, or integer tensor.
        """
        # Row `c * batch + b` is coalition c on example b, here and in `coalitions`.
        cut, *rest = [repeat_batch(part, copies) for part in self._data]
        return self._worth(self._suffix.run(cut, coalitions), rest)

    def ends(self, active):
        """Returns the values of all units in play and of none, `(batch,)` each.

        Args:
            active: Float tensor, shape `(batch, num_units)`, 1 for a unit in play.
        """
        # At once: to trace a network takes longer than to run it on a batch.
        both = tf.concat([active, tf.zeros_like(active)], axis=0)
        return tf.split(self(both, copies=2), 2)

    def match(self, ranks):
        """Gives the walks to the examples in the order of what these share out.

        Args:
            ranks: Int32 tensor, shape `(batch, num_units)`, see `draw_ranks`.

        Returns:
            Tuple of what `ends` returns, and of the ranks of each example.
        """
        if self._matched:  # among all of a batch that is divided
            ends, ranks = self._matched
            return tuple(tf.unstack(ends, axis=1)), ranks
        ends = self.ends(tf.cast(ranks != OUT, tf.float32))
        gaps = ends[0] - ends[1]
        # The place of each example among all.
        order = tf.argsort(tf.argsort(gaps, stable=True), stable=True)
        return ends, tf.gather(ranks, order)

    def walk(self, ranks, ends=None):
        """Returns the value after each number of removals.

        Args:
            ranks: Int32 tensor, shape `(batch, num_units)`, see `draw_ranks`.
            ends: Tuple of the first and the last value, if they are known.

        Returns:
            Float tensor, shape `(removals of the longest walk + 1, batch)`.
        """
        num_steps = count_steps(ranks)
        if self._incremental is not None:
            return self._incremental.run(
                self._data, self._worth, ranks, num_steps, self.fold
            )
        # Where the two ends are known, only the steps in between are evaluated.
        first = 0 if ends is None else 1
        values = evaluate_folded(
            self,
            lambda steps: left_after(ranks, steps + first),
            num_steps + 1 - 2 * first,
            self._batch,
            self.fold,
        )
        if ends is None:
            return values
        return tf.concat([ends[0][tf.newaxis], values, ends[1][tf.newaxis]], axis=0)

    def whole(self, watch):
        """Returns the value of the network with all units, shape `(batch,)`.

        Args:
            watch: Callable `fn(unit of each channel, activations)`, called wherever
                the units are read.
        """
        cut, *rest = self._data
        # Masks of ones change nothing. They are applied because `watch` is called where
        # masks are.
        everything = tf.ones([self._batch, self._suffix.num_units])
        return self._worth(self._suffix.run(cut, everything, watch), rest)

    def _worth(self, outputs, rest):
        labels, weights, reference = rest
        # Within a compiled step `()` stands for no weights; a `Value` takes `None`.
        weights = weights if keras.tree.flatten(weights) else None
        return self._value(labels, outputs, weights, reference)


def repeat_batch(structure, copies):
    """Returns a batch `copies` times over, one whole batch after the other.

    Args:
        structure: (Nested) tensors, the batch first.
        copies: Integer, or integer tensor.
    """
    if isinstance(copies, int) and copies == 1:
        return structure

    def tile(tensor):
        shape = tensor.shape
        # Not `tf.repeat`, which puts the copies of an example next to each other.
        # Tiling a number of times that is a tensor loses the static shape, which layers
        # need.
        tiled = tf.tile(tensor, [copies, *[1] * (shape.rank - 1)])
        return tf.ensure_shape(tiled, [None, *shape[1:]])

    return keras.tree.map_structure(tile, structure)
