"""Permutation sampling: what is lost as each unit is removed along a random order."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.arguments import check_boolean
from keras_shapley_prune.rank.estimators.estimator import OutputEstimator, counted_noun
from keras_shapley_prune.rank.estimators.walks import (
    OUT,
    counted_ranks,
    draw_ranks,
    place_ranks,
    walk_marginals,
    window_size,
)
from keras_shapley_prune.rank.table import SampleTable


class WalkEstimator(OutputEstimator):
    """What `Permutation` and `SharedPermutation` share: how they draw and estimate."""

    dtype = tf.int32

    @property
    def num_traced(self):
        """Integer, once for the walk, and once for its ends."""
        return 2 if self.window == 1 else 1

    def num_evaluations(self, num_active):
        return window_size(self.window, num_active) + 1

    def counted(self, drawn):
        return counted_ranks(drawn)

    def estimate(self, values_of, ranks):
        if not self.matches:
            return walk_marginals(values_of.walk(ranks), ranks)
        # The permutations of a block go to examples that have about as much to share
        # out: between those the errors of a block cancel. What they have to share out
        # does not depend on the permutations, so nothing is biased.
        ends, ranks = values_of.match(ranks)
        return walk_marginals(values_of.walk(ranks, ends), ranks)


@dataclasses.dataclass(frozen=True, repr=False)
class Permutation(WalkEstimator):
    """Walks along random permutations, each example along its own.

    A unit's estimate is the amount by which the value falls as the unit is removed. It
    is unbiased (Castro, Gómez, Tejada 2009). The permutations come in antithetic blocks
    of four (Mitchell et al. 2022, arXiv:2104.12199), which go to examples of one class:
    those play nearly the same game. The standard errors do not account for this
    balance, and are a little too wide.

    A draw costs `num_units + 1` evaluations an example, of the part of the network
    behind the group. More examples are worth more than more draws.

    Args:
        num_draws: Integer, how many permutations each example walks.
        window: Float in (0, 1], the share of the units in play that a walk removes.
            Below 1 it looks at coalitions near the whole, as they will be after
            pruning. With several stages 0.5 is a good value.
        decay: Float in [0, 1], what the samples of a stage weigh in the next one.
        control_variate: Boolean. If so, the noise that a closed form explains is taken
            off: what the layers that read the group lose along the same walk if they
            are not refitted. The values have the same mean. It needs no evaluations,
            and has no effect where no linear layer reads the units directly, or where
            walks are matched batch by batch because a `StopWhen` may stop them.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    twice = keras_shapley_prune.estimators.Permutation(num_draws=2)
    ranker = keras_shapley_prune.ShapleyRanker("loss", twice)
    ```
    """

    num_draws: int = 1
    window: float = 1.0
    decay: float = 0.8
    control_variate: bool = True

    walks = True

    def __post_init__(self):
        super().__post_init__()
        check_boolean("control_variate", self.control_variate)

    @property
    def matches(self):
        """Boolean: in a window, what an example has to share out is not known."""
        return self.window == 1

    @property
    def controls(self):
        return self.control_variate

    def describe(self):
        return f"{counted_noun(self.num_draws, 'permutation')} an example"

    def draw(self, key, size, active):
        *game, draw, batch = key
        generator = np.random.default_rng([*game, batch])
        # Blocks of walks run over the draws of an example and on to the next one.
        ranks = draw_ranks(generator, size * self.num_draws, active, self.window)
        return ranks[draw :: self.num_draws]

    def control(self, contributions, ranks):
        steps = np.flatnonzero(counted_ranks(ranks[np.newaxis]))
        in_play, found = np.flatnonzero(ranks != OUT), np.zeros(len(ranks))
        if len(in_play) < 2:
            return found
        order = steps[np.argsort(ranks[steps])]
        removed = contributions[order]
        # What has been removed before each step.
        before = np.cumsum(removed, axis=0) - removed
        others = contributions[in_play].sum(axis=0) - removed
        # Any other unit is as likely to have been removed as any: the mean number of
        # steps before one, over the number of others.
        share = (len(order) - 1) / 2 / (len(in_play) - 1)
        found[order] = 2 * np.einsum("ut,ut->u", removed, before - share * others)
        return found


@dataclasses.dataclass(frozen=True, repr=False)
class SharedPermutation(WalkEstimator):
    """Walks along the same few permutations for all examples, as the paper does.

    That is the estimator of "Shapley Value as Principled Metric for Structured
    Network Pruning" (Ancona, Öztireli, Gross, arXiv:2006.01795, section 3.2). It is
    far noisier than `Permutation` at the same cost, `num_units + 1` evaluations a
    draw and example: it is here to be compared with. Its standard errors come from
    the spread over the permutations, so they are errors against the exact values on
    these very examples.

    Args:
        num_draws: Integer, how many permutations there are.
        window: Float in (0, 1], see `Permutation`.
        decay: Float in [0, 1], see `Permutation`.

    Raises:
        ValueError: If an argument is not of that form.
    """

    num_draws: int = 1
    window: float = 1.0
    decay: float = 0.8

    takes_reduction = False  # a row of its table is a permutation, not an example

    def describe(self):
        return f"{counted_noun(self.num_draws, 'permutation')} shared by all examples"

    def new_table(self, num_examples, num_units):
        return SampleTable(self.num_draws, num_units)

    def rows(self, first, size, draw):
        return np.full(size, draw)

    def draw(self, key, size, active):
        generator = np.random.default_rng(key[:-1])  # the same for all batches
        order = generator.permutation(int(np.sum(active)))[np.newaxis]
        return np.repeat(place_ranks(order, active, self.window), size, axis=0)
