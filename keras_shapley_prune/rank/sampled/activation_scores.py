"""Estimators of the baselines that look at activations and their gradients."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.rank.sampled.estimators import Estimator
from keras_shapley_prune.rank.sampled.walks import evaluate_folded


class _OneLook(Estimator):
    """What the baselines share: one estimate an example, nothing to draw."""

    def num_evaluations(self, num_active):
        """A backward pass counts as two evaluations."""
        return 3


class TaylorEstimator(_OneLook):
    """First-order Taylor expansion of the loss as a filter is set to zero.

    Per example, the sum over positions of activation times gradient (Molchanov et
    al. 2017, arXiv:1611.06440; squared: 2019, arXiv:1906.10771). On a coupled group
    the terms of all layers that read the units are summed before the absolute value.

    Args:
        form: String, `"signed"`, `"absolute"` or `"squared"`.
    """

    def __init__(self, form):
        super().__init__()
        self._form = form

    def describe(self):
        """Returns the method's name, for people."""
        return f"Taylor expansion, {self._form}"

    def estimate(self, play, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        active = tf.nn.relu(drawn)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(active)
            total = tf.reduce_sum(play(active))
        gains = tape.gradient(total, active)
        return {"signed": tf.identity, "absolute": tf.abs, "squared": tf.square}[
            self._form
        ](gains)


class LeaveOneOutEstimator(_OneLook):
    """What the value falls by as one unit leaves and all others stay."""

    def describe(self):
        """Returns the method's name, for people."""
        return "leave one out"

    def num_evaluations(self, num_active):
        """One for each unit, and one with all."""
        return num_active + 1

    def estimate(self, play, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        batch, num_units = tf.shape(drawn)[0], drawn.shape[1]
        active = tf.nn.relu(drawn)
        players = tf.reshape(tf.where(drawn[0] >= 0), [-1])

        def without(steps):
            left_out = tf.one_hot(tf.gather(players, steps), num_units)
            return active * (1.0 - left_out[:, tf.newaxis])

        left = evaluate_folded(play, without, tf.size(players), batch, play.fold)
        losses = play(active)[tf.newaxis] - left
        shape = [num_units, batch]
        return tf.transpose(
            tf.scatter_nd(players[:, tf.newaxis], losses, tf.cast(shape, players.dtype))
        )


class ActivationEstimator(_OneLook):
    """Statistics of the activations, averaged over the positions of a channel.

    On a coupled group they are averaged over the layers that read the units.

    Args:
        statistic: String. `"mean_activation"`: mean absolute activation. `"apoz"`:
            the share of positive activations, that is 1 - APoZ (Hu et al. 2016,
            arXiv:1607.03250). `"sensitivity"`: mean absolute gradient of the loss
            with respect to the activation.
    """

    def __init__(self, statistic):
        super().__init__()
        self._statistic = statistic

    def describe(self):
        """Returns the method's name, for people."""
        return self._statistic

    def estimate(self, play, drawn):
        """Returns the estimates, shape `(batch, num_units)`."""
        num_units, seen = drawn.shape[1], []
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def watch(columns, activations):
                tape.watch(activations)
                seen.append((columns, activations))

            total = tf.reduce_sum(play.whole(watch))
        tensors = [activations for _, activations in seen]
        if self._statistic == "sensitivity":
            tensors = [tf.abs(g) for g in tape.gradient(total, tensors)]
        elif self._statistic == "apoz":
            tensors = [tf.cast(a > 0, tf.float32) for a in tensors]
        else:
            tensors = [tf.abs(a) for a in tensors]
        columns = np.concatenate([found for found, _ in seen])
        by_channel = tf.concat([_over_positions(tensor) for tensor in tensors], axis=1)
        by_unit = tf.math.unsorted_segment_mean(
            tf.transpose(by_channel), columns, num_units + 2
        )
        return tf.transpose(by_unit[:num_units])


def _over_positions(tensor):
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
