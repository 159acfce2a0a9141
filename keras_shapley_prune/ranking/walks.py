"""Permutation walks: from the whole network to none of a group, unit by unit."""

import numpy as np
import tensorflow as tf


def draw_antithetic_ranks(generator, num_examples, num_permutations, num_units):
    """Draws the order in which each example's walk removes the units.

    Every second permutation is the reverse of the one before it, where "before" runs
    over the permutations of an example and then on to the next example. So with one
    permutation an example, neighbouring examples form a pair.

    Args:
        generator: A `numpy.random.Generator`.
        num_examples: Integer.
        num_permutations: Integer, how many an example.
        num_units: Integer.

    Returns:
        Int32 array, shape `(num_permutations, num_examples, num_units)`: the step at
        which the walk removes the unit, from 0.
    """
    count = num_examples * num_permutations
    drawn = np.tile(np.arange(num_units, dtype=np.int32), ((count + 1) // 2, 1))
    drawn = generator.permuted(drawn, axis=1)
    pairs = np.stack([drawn, num_units - 1 - drawn], axis=1)
    ranks = pairs.reshape(-1, num_units)[:count]
    return ranks.reshape(num_examples, num_permutations, num_units).swapaxes(0, 1)


def walk_losses(losses_of, ranks):
    """Walks every example of a batch along its own permutation.

    Args:
        losses_of: Callable: coalitions, float tensor of shape `(batch, num_units)`
            with 1 for a unit that is in -> losses, shape `(batch,)`.
        ranks: Int32 tensor, shape `(batch, num_units)`, the step at which each unit
            is removed.

    Returns:
        Float tensor, shape `(batch, num_units)`: how much the loss rose as the unit
        was removed, its marginal contribution to the coalition that was left.
    """
    num_units = ranks.shape[1]

    def remove_next(step, previous, marginals):
        losses = losses_of(tf.cast(ranks > step, tf.float32))
        rise = (losses - previous)[:, tf.newaxis]
        return step + 1, losses, tf.where(ranks == step, rise, marginals)

    everything = tf.ones_like(ranks, tf.float32)
    _, _, marginals = tf.while_loop(
        lambda step, *_: step < num_units,
        remove_next,
        (0, losses_of(everything), tf.zeros_like(everything)),
        parallel_iterations=1,
    )
    return marginals
