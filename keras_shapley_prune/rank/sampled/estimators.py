"""Estimators: how the Shapley value of every unit is had from a few coalitions.

An estimator draws for a batch (on the host, numpy), estimates from the draw (in the
compiled step), and says which units of which rows of the table it has sampled.
"""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.sampled.exact import (
    MAX_UNITS,
    all_coalitions,
    shapley_weights,
)
from keras_shapley_prune.rank.sampled.walks import (
    OUT,
    counted_ranks,
    draw_ranks,
    evaluate_folded,
    place_ranks,
    walk_marginals,
    window_size,
)
from keras_shapley_prune.rank.table import SampleTable


class Estimator:
    """What estimators have in common.

    Args:
        num_draws: Integer, how many draws an example.
        window: Float in (0, 1], the share of the units in play that a draw may lack.
    """

    dtype = tf.float32
    walks = False

    def __init__(self, num_draws=1, window=1.0):
        self.num_draws, self.window = num_draws, window

    def new_table(self, batch_sizes, num_units):
        """Returns the empty `SampleTable` of a group.

        Args:
            batch_sizes: List of integers.
            num_units: Integer.
        """
        return SampleTable(sum(batch_sizes), num_units)

    def rows(self, first, size, draw):
        """Returns the rows of the table that a batch's samples belong to.

        Args:
            first: Integer, how many examples come before the batch.
            size: Integer, how many examples the batch has.
            draw: Integer, the number of the draw.
        """
        return first + np.arange(size)

    def draw(self, key, size, active):
        """Returns what the compiled step takes, an array `(size, num_units)`.

        Args:
            key: List of integers `[seed, group, stage, draw, batch]`: a random stream
                for each.
            size: Integer, the number of examples.
            active: Boolean array, shape `(num_units,)`, the units in play.
        """
        return np.tile(np.where(active, 1, OUT).astype("float32"), (size, 1))

    def counted(self, drawn):
        """Returns which units a draw samples, a boolean array of its shape."""
        return drawn != OUT


class PermutationEstimator(Estimator):
    """Walks along permutations of each example's own that balance each other.

    Unbiased. A unit's estimate is what the value falls by as the unit leaves. The
    permutations of a block go to examples of a batch that have about as much to share
    out: between those the errors of a block cancel. What they have to share out does
    not depend on the permutations, so nothing is biased. The standard errors leave the
    balance out of account, and are a little too wide.
    """

    dtype = tf.int32
    walks = True

    def describe(self):
        """Returns the method's name, for people."""
        return f"Shapley values, {self.num_draws} permutation(s) an example"

    def num_evaluations(self, num_active):
        """Returns how many coalitions one draw evaluates for one example."""
        return window_size(self.window, num_active) + 1

    def draw(self, key, size, active):
        *game, draw, batch = key
        generator = np.random.default_rng([*game, batch])
        # Blocks of walks run over the draws of an example and on to the next one.
        ranks = draw_ranks(generator, size * self.num_draws, active, self.window)
        return ranks[draw :: self.num_draws]

    def counted(self, drawn):
        return counted_ranks(drawn)

    def estimate(self, play, ranks):
        """Returns the estimates of one draw, shape `(batch, num_units)`."""
        if self.window < 1:
            return walk_marginals(play.walk(ranks), ranks)
        active = tf.cast(ranks != OUT, tf.float32)
        ends = play(active), play(tf.zeros_like(active))
        ranks = tf.gather(ranks, _places(ends[0] - ends[1]))
        return walk_marginals(play.walk(ranks, ends), ranks)


def _places(gaps):
    """Returns the place of each example among all, by what it has to share out."""
    return tf.argsort(tf.argsort(gaps, stable=True), stable=True)


class SharedPermutationEstimator(PermutationEstimator):
    """Walks along the same few permutations for all examples, as the paper does.

    Far noisier at the same cost: it is here to be compared with. Its standard errors
    come from the spread over the permutations: they are those against the exact
    values on these very examples.
    """

    walks = False  # more of them would not be the paper's estimator

    def describe(self):
        return f"Shapley values, {self.num_draws} permutation(s) for all examples"

    def new_table(self, batch_sizes, num_units):
        return SampleTable(self.num_draws, num_units)

    def rows(self, first, size, draw):
        return np.full(size, draw)

    def draw(self, key, size, active):
        generator = np.random.default_rng(key[:-1])  # the same for all batches
        order = generator.permutation(int(np.sum(active)))[np.newaxis]
        return np.repeat(place_ranks(order, active, self.window), size, axis=0)

    def estimate(self, play, ranks):
        return walk_marginals(play.walk(ranks), ranks)


class GradientEstimator(Estimator):
    """Estimates all units at once by the gradient at one random coalition.

    At a coalition S, the derivative of the value with respect to a unit's mask is a
    first-order estimate of what the unit adds to S. The density of S is uniform on
    (0, 1), as it is along a walk, stratified over the examples of a batch. Costs one
    backward pass where a walk costs `num_units + 1` evaluations; biased, since a
    filter is removed whole and not by a little (multilinear extension: Owen 1972).
    The network with all and with no units in play is evaluated too, and what the
    estimates of an example lack to the difference is spread over them evenly: so the
    values are efficient, their order is that of the gradients. In a window below 1
    the density is above `1 - window`, and nothing is known to make them efficient.
    """

    def describe(self):
        return f"Shapley values, {self.num_draws} gradient(s) an example"

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        return 5 if self.window == 1 else 3

    def draw(self, key, size, active):
        generator = np.random.default_rng(key)
        strata = generator.permutation(size)
        density = 1 - self.window * (strata + generator.random(size)) / size
        inside = generator.random((size, len(active))) < density[:, np.newaxis]
        return np.where(active, inside, OUT).astype("float32")

    def estimate(self, play, drawn):
        active = tf.cast(drawn != OUT, tf.float32)
        coalitions = drawn * active
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(coalitions)
            # The examples do not touch each other: one gradient serves them all.
            total = tf.reduce_sum(play(coalitions))
        gains = tape.gradient(total, coalitions) * active
        if self.window < 1:
            return gains
        # What is known exactly is the sum over the units: the error in it is shared.
        gap = play(active) - play(tf.zeros_like(active))
        missing = gap - tf.reduce_sum(gains, axis=1)
        share = missing / tf.reduce_sum(active, axis=1)
        return gains + share[:, tf.newaxis] * active


class ExactEstimator(Estimator):
    """Evaluates every coalition: the Shapley values of each example, exactly.

    For groups of up to 16 units; a group of more is an error.
    """

    def describe(self):
        return "Shapley values, exact"

    def num_evaluations(self, num_active):
        if num_active > MAX_UNITS:
            raise ValueError(
                f"estimator='exact' takes groups of up to {MAX_UNITS} units: it "
                "evaluates every coalition. Received: a group of "
                f"{num_active} units. `layers=` selects smaller ones"
            )
        return 2**num_active

    def estimate(self, play, drawn):
        num_units, batch = drawn.shape[1], tf.shape(drawn)[0]
        coalitions = tf.constant(all_coalitions(num_units))

        def chosen(steps):
            return tf.repeat(tf.gather(coalitions, steps)[:, tf.newaxis], batch, axis=1)

        values = evaluate_folded(play, chosen, 2**num_units, batch, play.fold)
        weights = tf.constant(shapley_weights(num_units))
        shapley = tf.matmul(tf.cast(values, tf.float64), weights, transpose_a=True)
        return tf.cast(shapley, tf.float32)


ESTIMATORS = {
    "permutation": PermutationEstimator,
    "shared_permutation": SharedPermutationEstimator,
    "gradient": GradientEstimator,
    "exact": lambda num_draws, window: ExactEstimator(),
}
