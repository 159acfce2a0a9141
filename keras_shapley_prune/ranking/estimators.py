"""Estimators of Shapley values: what to draw, and what to make of it.

Each gives one estimate an example and draw. They see a game only through
`value_of(coalitions, copies)`, see `walk_values`.
"""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.ranking.exact import (
    MAX_UNITS,
    all_coalitions,
    shapley_weights,
)
from keras_shapley_prune.ranking.moments import DrawMoments, ExampleMoments
from keras_shapley_prune.ranking.walks import (
    draw_antithetic_ranks,
    evaluate_folded,
    walk_marginals,
    walk_values,
)


class PermutationEstimator:
    """Walks along permutations of each example's own, in antithetic pairs.

    Unbiased. A unit's estimate is what the value falls by as the unit leaves.

    Args:
        num_draws: Integer, the number of permutations an example.
        seed: Integer.
    """

    dtype = tf.int32

    def __init__(self, num_draws, seed):
        self.num_draws, self.seed = num_draws, seed

    def describe(self):
        """Returns the method's name, for people."""
        return f"Shapley values, {self.num_draws} permutation(s) an example"

    def new_state(self, num_units):
        """Returns the empty running state of an estimate."""
        pairs_straddle = self.num_draws % 2 == 1
        return ExampleMoments(num_units, block_size=2 if pairs_straddle else 1)

    def num_evaluations(self, num_units):
        """Returns how many coalitions one draw evaluates for one example."""
        return num_units + 1

    def draw(self, key, num_examples, num_units):
        """Returns the draws of one batch.

        Args:
            key: Tuple of integers `(batch index, group index)`: a stream for each.
            num_examples: Integer.
            num_units: Integer.

        Returns:
            Array, shape `(num_draws, num_examples, num_units)`.
        """
        generator = np.random.default_rng([self.seed, *key])
        return draw_antithetic_ranks(generator, num_examples, self.num_draws, num_units)

    def estimate(self, value_of, ranks, fold):
        """Returns the estimates of one draw, shape `(batch, num_units)`."""
        return walk_marginals(walk_values(value_of, ranks, fold), ranks)


class SharedPermutationEstimator(PermutationEstimator):
    """Walks along the same few permutations for all examples, as the paper does.

    Far noisier at the same cost: it is here to be compared with. Its standard errors
    come from the spread over the permutations.
    """

    def describe(self):
        return f"Shapley values, {self.num_draws} permutation(s) for all examples"

    def new_state(self, num_units):
        return DrawMoments(num_units, self.num_draws)

    def draw(self, key, num_examples, num_units):
        generator = np.random.default_rng([self.seed, key[1]])
        ranks = np.tile(np.arange(num_units, dtype=np.int32), (self.num_draws, 1))
        ranks = generator.permuted(ranks, axis=1)[:, np.newaxis]
        return np.repeat(ranks, num_examples, axis=1)


class GradientEstimator:
    """Estimates all units at once by the gradient at one random coalition.

    At a coalition S, the derivative of the value with respect to a unit's mask is a
    first-order estimate of what the unit adds to S. The density of S is uniform on
    (0, 1), as it is along a walk, stratified over the examples of a batch. Costs one
    backward pass where a walk costs `num_units + 1` evaluations; biased, since a
    filter is removed whole and not by a little (multilinear extension: Owen 1972).
    The network with all and with no units is evaluated too, and what the estimates of
    an example lack to the difference is spread over them evenly: so the values are
    efficient, their order is that of the gradients.

    Args:
        num_draws: Integer, the number of coalitions an example.
        seed: Integer.
    """

    dtype = tf.float32

    def __init__(self, num_draws, seed):
        self.num_draws, self.seed = num_draws, seed

    def describe(self):
        return f"Shapley values, {self.num_draws} gradient(s) an example"

    def new_state(self, num_units):
        return ExampleMoments(num_units)

    def num_evaluations(self, num_units):
        """A backward pass counts as two evaluations."""
        return 5

    def draw(self, key, num_examples, num_units):
        generator = np.random.default_rng([self.seed, *key])
        size = (self.num_draws, num_examples)
        strata = generator.permuted(np.tile(np.arange(size[1]), (size[0], 1)), axis=1)
        density = (strata + generator.random(size)) / num_examples
        inside = generator.random((*size, num_units)) < density[..., np.newaxis]
        return inside.astype(np.float32)

    def estimate(self, value_of, coalitions, fold):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(coalitions)
            # The examples do not touch each other: one gradient serves them all.
            total = tf.reduce_sum(value_of(coalitions, 1))
        gains = tape.gradient(total, coalitions)
        # What is known exactly is the sum over the units: the error in it is shared.
        everything = tf.ones_like(coalitions)
        gap = value_of(everything, 1) - value_of(tf.zeros_like(coalitions), 1)
        missing = gap - tf.reduce_sum(gains, axis=1)
        return gains + missing[:, tf.newaxis] / gains.shape[1]


class ExactEstimator:
    """Evaluates every coalition: the Shapley values of each example, exactly.

    For groups of up to 16 units; a group of more is an error.
    """

    dtype = tf.float32

    def describe(self):
        return "Shapley values, exact"

    def new_state(self, num_units):
        return ExampleMoments(num_units)

    def num_evaluations(self, num_units):
        return 2**num_units

    def draw(self, key, num_examples, num_units):
        if num_units > MAX_UNITS:
            raise ValueError(
                f"estimator='exact' takes groups of up to {MAX_UNITS} units: it "
                "evaluates every coalition. Received: a group of "
                f"{num_units} units. `layers=` selects smaller ones"
            )
        return np.zeros((1, num_examples, num_units), np.float32)

    def estimate(self, value_of, draw, fold):
        num_units, batch = draw.shape[1], tf.shape(draw)[0]
        coalitions = tf.constant(all_coalitions(num_units))

        def chosen(steps):
            return tf.repeat(tf.gather(coalitions, steps)[:, tf.newaxis], batch, axis=1)

        values = evaluate_folded(value_of, chosen, 2**num_units, batch, fold)
        weights = tf.constant(shapley_weights(num_units))
        shapley = tf.matmul(tf.cast(values, tf.float64), weights, transpose_a=True)
        return tf.cast(shapley, tf.float32)


ESTIMATORS = {
    "permutation": PermutationEstimator,
    "shared_permutation": SharedPermutationEstimator,
    "gradient": GradientEstimator,
    "exact": lambda num_draws, seed: ExactEstimator(),
}
