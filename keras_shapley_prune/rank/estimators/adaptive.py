"""Adaptive sampling: evaluations go to the units whose side of the cut is open."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.estimators.estimator import OutputEstimator, counted_noun
from keras_shapley_prune.rank.estimators.permutation import Permutation
from keras_shapley_prune.rank.estimators.walks import evaluate_folded

_OPEN = 2  # standard errors around the cut within which a unit's side is open
_FIRST = 0.25  # of the examples that sample all units, before any is settled
_FEWEST_ROWS = 16  # of them
_CHEAP = 0.5  # what a step of a walk may cost to be preferred
_SAMPLED = 2  # added to the membership of a unit that is sampled


@dataclasses.dataclass(frozen=True, repr=False)
class Adaptive(OutputEstimator):
    """Spends its evaluations on the units whose side of the cut is still open.

    A quarter of the examples walk along permutations, as with `Permutation`. From then
    on only those units are sampled whose values lie within two standard errors of the
    cut, which is half-way between the last unit that would be removed and the first
    that would be kept. A sample compares a random coalition with the one that has this
    unit added or taken out; it costs one evaluation for each sampled unit, and one for
    the coalition. What is saved buys more draws of these units, on all examples in
    turn.

    So the order is most exact at the cut that `ratio` makes, the argument of `rank`. A
    unit far from it keeps the value that it had when its side was settled. If one
    ranking is to serve several ratios, or if layers are compared with each other
    (`scope="global"`), use `Permutation`.

    At most `num_draws * (num_units + 1)` coalitions are evaluated for each example, as
    many as with `Permutation`, and fewer if no unit is open any more. In a group where
    a step of a walk costs less than half of an evaluation, such as the last before the
    output, `Permutation` takes over.

    Args:
        num_draws: Integer, how much may be spent: as much as so many permutations for
            each example.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    adaptive = keras_shapley_prune.estimators.Adaptive()
    ranker = keras_shapley_prune.ShapleyRanker("loss", adaptive)
    ranking = ranker.rank(model, (images, labels), ratio=0.5)
    ```
    """

    num_draws: int = 1

    # Units that were settled early have no samples of later examples.
    takes_stages = takes_reduction = False
    num_traced = 3  # the walk, its ends, and the neighbours

    def describe(self):
        walks = counted_noun(self.num_draws, "permutation")
        return f"adaptive draws at the cost of {walks} an example"

    def for_group(self, walk):
        if walk is None:
            return self
        walks = Permutation(self.num_draws)
        cheap = walk.num_free > 1 or walk.share_of_cost(walks) < _CHEAP
        return walks if cheap else self

    def num_evaluations(self, num_active):
        return num_active + 1

    def parts(self, num_units):
        """Returns the estimators of the first draws and of the later ones, a tuple.

        Args:
            num_units: Integer.
        """
        # More than can be paid for: a draw evaluates two coalitions at least.
        walks = Permutation(control_variate=False)  # both parts share one table
        return walks, Neighbours(self.num_draws * (num_units + 1))

    def find_open(self, table, num_removed):
        """Returns the units that the next examples sample, a boolean array.

        Args:
            table: The `SampleTable`.
            num_removed: Integer, how many of the lowest units will be removed.
        """
        num_rows, num_units = table.sum.shape
        seen = np.count_nonzero(table.count.any(axis=1))
        no_cut = not 0 < num_removed < num_units
        if no_cut or seen < max(_FIRST * num_rows, _FEWEST_ROWS):
            return np.ones(num_units, bool)
        values, errors = table.estimate()
        ordered = np.sort(values)
        cut = ordered[num_removed - 1 : num_removed + 1].mean()
        # Not `<=`: units without any spread, such as dead ones, have nothing to learn.
        return np.abs(values - cut) < _OPEN * errors


@dataclasses.dataclass(frozen=True, repr=False)
class Neighbours(OutputEstimator):
    """Compares a random coalition with those that differ from it by one unit.

    The size of the coalition is uniform, from no unit to all. Then what a unit adds to
    the others of the coalition has the Shapley value as its mean: the number of the
    others is uniform too, whether the unit is in the coalition or not.

    Args:
        num_draws: Integer, how many coalitions each example has.
    """

    num_draws: int = 1

    dtype = tf.int32
    takes_stages = False

    def num_evaluations(self, num_active):
        return num_active + 1

    def draw(self, key, size, active):
        """Draws coalitions of all units, of which those in `active` are sampled.

        The coalitions come in blocks of four: one, its complement, and two for which
        the size is shifted by half. The sizes of the blocks are spread over all sizes.

        Returns:
            Int32 array, shape `(size, num_units)`: 1 for a unit that is in, and 2 more
            for one that is sampled.
        """
        generator, num_units = np.random.default_rng(key), len(active)
        blocks, sizes = -(-size // 4), num_units + 1
        ranks = generator.permuted(np.tile(np.arange(num_units), (blocks, 1)), axis=1)
        # One size in each of as many strata; which block has which is random, so that
        # each coalition for itself has a uniform size.
        strata = generator.permutation(blocks) + generator.random(blocks)
        first = (strata / blocks * sizes).astype(int)[:, np.newaxis]
        shifted = (first + sizes // 2) % sizes
        members = [ranks < first, ranks >= first, ranks < shifted, ranks >= shifted]
        members = np.stack(members, axis=1).reshape(-1, num_units)[:size]
        return (members + _SAMPLED * active).astype("int32")

    def counted(self, drawn):
        return drawn >= _SAMPLED

    def estimate(self, values_of, drawn):
        inside = tf.cast(drawn % _SAMPLED, tf.float32)
        sampled = drawn >= _SAMPLED
        # The units in the order of their steps: those that are sampled come first.
        order = tf.argsort(tf.where(sampled, 0, 1), axis=1, stable=True)
        num_steps = tf.reduce_max(tf.math.count_nonzero(sampled, 1, dtype=tf.int32))

        def coalitions_at(steps):
            # Before the first step nothing is changed: -1 is no unit.
            units = tf.gather(order, tf.maximum(steps - 1, 0), axis=1)
            units = tf.where(steps > 0, units, -1)
            changed = tf.one_hot(tf.transpose(units), drawn.shape[1])
            return tf.abs(inside - changed)

        batch = tf.shape(drawn)[0]
        values = evaluate_folded(
            values_of, coalitions_at, num_steps + 1, batch, values_of.fold
        )
        losses = tf.transpose(values[0] - values[1:])
        step_of = tf.minimum(tf.argsort(order, axis=1), num_steps - 1)
        # What a unit adds to a coalition is what is lost without it, and the reverse.
        return (2 * inside - 1) * tf.gather(losses, step_of, batch_dims=1)
