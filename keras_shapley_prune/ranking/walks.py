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


def evaluate_folded(value_of, coalitions_at, num_steps, batch, fold):
    """Evaluates a sequence of coalitions for every example, several at a time.

    Args:
        value_of: Callable `fn(coalitions, copies)`: coalitions, float tensor of shape
            `(copies * batch, num_units)` with 1 for a unit that is in, the whole batch
            `copies` times over -> values, shape `(copies * batch,)`.
        coalitions_at: Callable: integer tensor, shape `(fold,)`, of steps ->
            coalitions, `(fold, batch, num_units)`.
        num_steps: Integer, the length of the sequence.
        batch: Integer tensor, the number of examples.
        fold: Integer tensor, how many steps are evaluated at once.

    Returns:
        Float tensor, shape `(num_steps, batch)`.
    """
    num_rounds = -(-num_steps // fold)
    values = tf.TensorArray(tf.float32, num_rounds, element_shape=[None, None])

    def next_round(round_, values):
        # The last round is filled up with its last step.
        steps = tf.minimum(round_ * fold + tf.range(fold), num_steps - 1)
        coalitions = coalitions_at(steps)
        coalitions = tf.reshape(coalitions, [-1, coalitions.shape[-1]])
        worth = tf.reshape(value_of(coalitions, fold), [fold, batch])
        return round_ + 1, values.write(round_, worth)

    _, values = tf.while_loop(
        lambda round_, _: round_ < num_rounds,
        next_round,
        (0, values),
        parallel_iterations=1,
    )
    return values.concat()[:num_steps]


def walk_values(value_of, ranks, fold=1):
    """Walks every example of a batch along its own permutation.

    Args:
        value_of: As in `evaluate_folded`.
        ranks: Int32 tensor, shape `(batch, num_units)`, the step at which each unit
            is removed.
        fold: As in `evaluate_folded`.

    Returns:
        Float tensor, shape `(num_units + 1, batch)`: the value of the network that is
        left after each number of removals.
    """

    def left_after(steps):
        return tf.cast(ranks >= steps[:, tf.newaxis, tf.newaxis], tf.float32)

    num_steps = ranks.shape[1] + 1
    return evaluate_folded(value_of, left_after, num_steps, tf.shape(ranks)[0], fold)


def walk_marginals(values, ranks):
    """Returns what each unit was worth to the units that outlasted it.

    Args:
        values: Float tensor, shape `(num_units + 1, batch)`, of `walk_values`.
        ranks: Int32 tensor, shape `(batch, num_units)`.

    Returns:
        Float tensor, shape `(batch, num_units)`.
    """
    steps = tf.transpose(values[:-1] - values[1:])
    return tf.gather(steps, ranks, batch_dims=1)
