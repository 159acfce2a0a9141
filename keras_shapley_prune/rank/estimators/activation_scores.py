"""Estimators of the baselines that look at activations and their gradients."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.estimators.estimator import OutputEstimator
from keras_shapley_prune.rank.estimators.walks import evaluate_folded


class _OneLook(OutputEstimator):
    """What the baselines share: one estimate an example, nothing to draw.

    Attributes:
        reads_value: Boolean, whether the game's value is read, or activations alone.
    """

    reads_value = True
    num_traced = 2

    def describe_values(self, game):
        """Returns what is estimated, for `Ranking.method`."""
        return f"{self.describe()} of {game.describe()}"

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        return 3


@dataclasses.dataclass(frozen=True, repr=False)
class TaylorEstimator(_OneLook):
    """First-order Taylor expansion of the loss as a filter is set to zero.

    Per example, the sum over positions of activation times gradient (Molchanov et
    al. 2017, arXiv:1611.06440; squared: 2019, arXiv:1906.10771). On a coupled group
    the terms of all layers that read the units are summed before the absolute value.

    Args:
        form: String, `"signed"`, `"absolute"` or `"squared"`.
    """

    form: str

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        return f"{self.form.capitalize()} first-order Taylor expansion"

    def estimate(self, values_of, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        active = tf.nn.relu(drawn)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(active)
            # The derivative by a unit's mask is the sum, over positions and readers, of
            # its activation times the gradient there.
            total = tf.reduce_sum(values_of(active))
        gains = tape.gradient(total, active, unconnected_gradients="zero")
        return {"signed": tf.identity, "absolute": tf.abs, "squared": tf.square}[
            self.form
        ](gains)


class LeaveOneOutEstimator(_OneLook):
    """By how much the value falls as one unit is removed and all others are kept."""

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        return "Leave-one-out change"

    def num_evaluations(self, num_active):
        """One for each unit, and one with all."""
        return num_active + 1

    def estimate(self, values_of, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        batch, num_units = tf.shape(drawn)[0], drawn.shape[1]
        active = tf.nn.relu(drawn)
        # All rows of this draw are alike.
        players = tf.reshape(tf.where(drawn[0] >= 0), [-1])

        def without(steps):
            left_out = tf.one_hot(tf.gather(players, steps), num_units)
            return active * (1.0 - left_out[:, tf.newaxis])

        left = evaluate_folded(
            values_of, without, tf.size(players), batch, values_of.fold
        )
        losses = values_of(active)[tf.newaxis] - left
        shape = [num_units, batch]
        # Back from players to units, shape `(num_units, batch)`; 0 for those out of
        # play.
        return tf.transpose(
            tf.scatter_nd(players[:, tf.newaxis], losses, tf.cast(shape, players.dtype))
        )


@dataclasses.dataclass(frozen=True, repr=False)
class ActivationEstimator(_OneLook):
    """Statistics of the activations, averaged over the positions of a channel.

    On a coupled group they are averaged over the layers that read the units.

    Args:
        statistic: String. `"mean_activation"`: mean absolute activation. `"apoz"`:
            the share of positive activations, that is 1 - APoZ (Hu et al. 2016,
            arXiv:1607.03250). `"sensitivity"`: mean absolute gradient of the loss
            with respect to the activation.
    """

    statistic: str

    @property
    def reads_value(self):
        """Boolean, whether the game's value is read, or activations alone."""
        return self.statistic == "sensitivity"

    def describe(self):
        """Returns how values are estimated, in the field's words."""
        return {
            "mean_activation": "Mean absolute activation",
            "apoz": "Share of positive activations",
            "sensitivity": "Mean absolute gradient",
        }[self.statistic]

    def describe_values(self, game):
        """Returns what is estimated, for `Ranking.method`."""
        return super().describe_values(game) if self.reads_value else self.describe()

    def estimate(self, values_of, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        num_units, seen = drawn.shape[1], []
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def watch(columns, activations):
                tape.watch(activations)
                seen.append((columns, activations))

            total = tf.reduce_sum(values_of.whole(watch))
        tensors = [activations for _, activations in seen]
        if self.statistic == "sensitivity":
            found = tape.gradient(total, tensors, unconnected_gradients="zero")
            tensors = [tf.abs(gradient) for gradient in found]
        elif self.statistic == "apoz":
            # What APoZ counts are the zeros that a ReLU returns. What is no number is
            # none of them, and is refused as a score.
            tensors = [
                tf.where(tf.math.is_finite(a), tf.cast(a > 0, a.dtype), a)
                for a in tensors
            ]
        else:
            tensors = [tf.abs(a) for a in tensors]
        columns = np.concatenate([found for found, _ in seen])
        by_channel = tf.concat([_over_positions(tensor) for tensor in tensors], axis=1)
        # The channels of all sites, averaged by unit. Two segments more are those of
        # other groups and of removed units, see `GroupMasker.columns`.
        by_unit = tf.math.unsorted_segment_mean(
            tf.transpose(by_channel), columns, num_units + 2
        )
        return tf.transpose(by_unit[:num_units])


def _over_positions(tensor):
    # (batch, ..., channels) -> (batch, channels).
    tensor = tf.cast(tensor, tf.float32)
    return tf.reduce_mean(tensor, axis=range(1, tensor.shape.rank - 1))


BASELINES = {
    "taylor": lambda: TaylorEstimator("absolute"),
    "taylor_signed": lambda: TaylorEstimator("signed"),
    "taylor_squared": lambda: TaylorEstimator("squared"),
    "leave_one_out": LeaveOneOutEstimator,
    "sensitivity": lambda: ActivationEstimator("sensitivity"),
    "mean_activation": lambda: ActivationEstimator("mean_activation"),
    "apoz": lambda: ActivationEstimator("apoz"),
}
