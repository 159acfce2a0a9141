"""Permutation walks: from the units in play to none of them, unit by unit."""

import numpy as np
import tensorflow as tf

OUT = -1  # the rank of a unit that is not in play


def draw_ranks(generator, num_walks, active, window=1.0):
    """Draws the order in which walks remove the units.

    Permutations come in blocks of four: one at random, its reverse, the one with its
    halves swapped, and the reverse of that. So a unit is removed at four steps spread
    over the walk, and the units of one half both before and after those of the other.
    Each permutation for itself is uniform, so estimates are unbiased. (Reverses:
    antithetic sampling, Mitchell et al. 2022.) With a window below 1 a walk removes
    only the first units of its permutation.

    Args:
        generator: A `numpy.random.Generator`.
        num_walks: Integer.
        active: Boolean array, shape `(num_units,)`, the units in play.
        window: Float in (0, 1], the share of them that a walk removes.

    Returns:
        Int32 array, shape `(num_walks, num_units)`: the step at which the walk removes
        the unit, from 0; `num_units` for one that it does not remove, `OUT` for one
        that is not in play.
    """
    num_active = int(np.sum(active))
    # These are ranks, not orders: entry u is the step at which unit u is removed. The
    # ranks of a uniform permutation are a uniform permutation too.
    drawn = np.tile(np.arange(num_active), (-(-num_walks // 4), 1))
    drawn = generator.permuted(drawn, axis=1)
    # Half of the walk later, and from its second half back to the first.
    swapped = (drawn + num_active // 2) % num_active
    last = num_active - 1
    blocks = np.stack([drawn, last - drawn, swapped, last - swapped], axis=1)
    ranks = blocks.reshape(-1, num_active)[:num_walks]
    return place_ranks(ranks, active, window)


def place_ranks(ranks, active, window):
    """Returns the ranks of the active units as ranks of all units, see `draw_ranks`.

    Args:
        ranks: Integer array, shape `(num_walks, num_active)`.
        active: Boolean array, shape `(num_units,)`.
        window: Float in (0, 1].
    """
    placed = np.full((len(ranks), len(active)), OUT, np.int32)
    inside = ranks < window_size(window, ranks.shape[1])
    placed[:, active] = np.where(inside, ranks, len(active))
    return placed


def window_size(window, num_active):
    """Returns how many units a walk removes: at least one."""
    return max(round(window * num_active), 1)


def counted_ranks(ranks):
    """Returns which units a walk removes, a boolean array of the shape of `ranks`."""
    return (ranks != OUT) & (ranks < ranks.shape[1])


def count_steps(ranks):
    """Returns how many units the longest walk removes, an integer tensor."""
    # Units that are not removed have the rank n, which is no step.
    return tf.reduce_max(tf.where(ranks < ranks.shape[1], ranks, OUT)) + 1


def left_after(ranks, steps):
    """Returns which units are kept after each number of removals.

    Args:
        ranks: Int32 tensor, shape `(batch, num_units)`.
        steps: Int32 tensor, shape `(fold,)`.

    Returns:
        Float tensor, shape `(fold, batch, num_units)`.
    """
    # OUT is below every step, so who is not in play is never there.
    return tf.cast(ranks >= steps[:, tf.newaxis, tf.newaxis], tf.float32)


def evaluate_folded(value_of, coalitions_at, num_steps, batch, fold):
    """Evaluates a sequence of coalitions for every example, several at a time.

    Args:
        value_of: Callable `fn(coalitions, copies)`: coalitions, float tensor of shape
            `(copies * batch, num_units)` with 1 for a unit that is in, the whole batch
            `copies` times over -> values, shape `(copies * batch,)`.
        coalitions_at: Callable: integer tensor, shape `(fold,)`, of steps ->
            coalitions, `(fold, batch, num_units)`.
        num_steps: Integer (tensor), the length of the sequence.
        batch: Integer tensor, the number of examples.
        fold: Integer tensor, how many steps are evaluated at once.

    Returns:
        Float tensor, shape `(num_steps, batch)`.
    """

    def evaluate(steps):
        coalitions = coalitions_at(steps)
        # (fold, batch, units) -> (fold * batch, units): one forward pass for all.
        coalitions = tf.reshape(coalitions, [-1, coalitions.shape[-1]])
        return tf.reshape(value_of(coalitions, fold), [fold, batch])

    return run_in_rounds(evaluate, num_steps, fold)


def run_in_rounds(evaluate, num_steps, fold):
    """Runs steps in rounds of `fold`, on the device.

    Args:
        evaluate: Callable: integer tensor, shape `(fold,)`, of steps -> float tensor,
            shape `(fold, batch)`.
        num_steps: Integer (tensor).
        fold: Integer tensor.

    Returns:
        Float tensor, shape `(num_steps, batch)`.
    """
    # One round at least, of which nothing is returned if there are no steps: between
    # the ends of a walk that removes a single unit.
    num_rounds = tf.maximum(-(-num_steps // fold), 1)
    values = tf.TensorArray(tf.float32, num_rounds, element_shape=[None, None])

    def next_round(round_, values):
        # The last round is filled up with its last step.
        last = tf.maximum(num_steps - 1, 0)
        steps = tf.minimum(round_ * fold + tf.range(fold), last)
        return round_ + 1, values.write(round_, evaluate(steps))

    # One round at a time: `fold` is chosen so that one fits into memory.
    _, values = tf.while_loop(
        lambda round_, _: round_ < num_rounds,
        next_round,
        (0, values),
        parallel_iterations=1,
    )
    return values.concat()[:num_steps]


def walk_marginals(values, ranks):
    """Returns what each unit was worth to the units that were removed after it.

    Args:
        values: Float tensor, shape `(num_steps + 1, batch)`: the value of the
            units that are kept after each number of removals.
        ranks: Int32 tensor, shape `(batch, num_units)`.

    Returns:
        Float tensor, shape `(batch, num_units)`; of no meaning for a unit that the
        walk does not remove.
    """
    # steps[b, s] is what example b loses at step s. Gathered by ranks, column u is what
    # it loses by unit u.
    steps = tf.transpose(values[:-1] - values[1:])
    removed = tf.clip_by_value(ranks, 0, tf.shape(steps)[1] - 1)
    return tf.gather(steps, removed, batch_dims=1)
