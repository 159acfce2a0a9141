"""The game of one group: its units play for the value of the network."""

import keras
import tensorflow as tf


class Game:
    """Estimates of one group on one batch, as one compiled step.

    Args:
        index: Integer, the place of the group among the games.
        group: The `ChannelGroup` whose units are the players.
        suffix: Its `Suffix`.
        value: The value function, see `resolve_value`.
        estimator: The estimator, see `estimators.py`.
        fold_size: Integer. Coalitions are evaluated several at a time as long as
            they make no more than this many examples.
    """

    def __init__(self, index, group, suffix, value, estimator, fold_size):
        self.index, self.group, self.suffix = index, group, suffix
        self._value, self._estimator, self._fold_size = value, estimator, fold_size
        self.step = None

    def estimate(self, draw, cut, labels, weights):
        """Returns one estimate an example, shape `(batch, num_units)`.

        Args:
            draw: Array, shape `(batch, num_units)`, of the estimator.
            cut: List of tensors, the values of `suffix.cut`.
            labels: The labels of the batch, or `()`.
            weights: The sample weights of the batch, or `()`.
        """
        if self.step is None:
            self.step = self._compile(cut, labels, weights)
        return self.step(draw, cut, labels, weights).numpy()

    def _compile(self, cut, labels, weights):
        def step(draw, cut, labels, weights):
            return self._estimate(draw, cut, labels, weights)

        def any_batch(tensor):
            # Labels may be images, of one size in each batch.
            inner = [None] * (len(tensor.shape) - 2)
            shape = [None, *inner, *tensor.shape[1:][-1:]]
            return tf.TensorSpec(shape, tensor.dtype)

        signature = [
            tf.TensorSpec([None, self.group.num_units], self._estimator.dtype),
            self.suffix.cut_specs(cut),
            keras.tree.map_structure(any_batch, labels),
            keras.tree.map_structure(any_batch, weights),
        ]
        # TensorFlow warns of retracing by the code object: each game needs its own.
        step.__code__ = step.__code__.replace(co_name=f"step_{self.index}")
        return tf.function(step, input_signature=signature, autograph=False)

    def _estimate(self, draw, cut, labels, weights):
        batch = tf.shape(draw)[0]
        reference = ()
        if self._value.needs_reference:
            everything = tf.ones([batch, self.group.num_units])
            reference = self.suffix.run(cut, everything)
        data = (cut, labels, weights, reference)
        play = Play(self.suffix, self._value, data, batch)
        fold = tf.maximum(self._fold_size // batch, 1)
        return self._estimator.estimate(play, draw, fold)


class Play:
    """What an estimator sees of a game: the values of coalitions on one batch.

    Args:
        suffix: A `Suffix`.
        value: A value function.
        data: Tuple `(cut, labels, weights, reference)` of (nested) tensors.
        batch: Integer tensor, the number of examples.
    """

    def __init__(self, suffix, value, data, batch):
        self._suffix, self._value = suffix, value
        self._data, self._batch = data, batch

    def __call__(self, coalitions, copies=1):
        """Returns the values of coalitions, shape `(copies * batch,)`.

        Args:
            coalitions: Float tensor, shape `(copies * batch, num_units)`, 1 for a
                unit that is in. The whole batch is played `copies` times over.
            copies: Integer, or integer tensor.
        """
        cut, *rest = [_repeat(part, copies) for part in self._data]
        return self._worth(self._suffix.run(cut, coalitions), rest)

    def whole(self, watch):
        """Returns the value of the network with all units, shape `(batch,)`.

        Args:
            watch: Callable `fn(unit of each channel, activations)`, called wherever
                the units are read.
        """
        cut, *rest = self._data
        everything = tf.ones([self._batch, self._suffix.num_units])
        return self._worth(self._suffix.run(cut, everything, watch), rest)

    def _worth(self, outputs, rest):
        labels, weights, reference = rest
        weights = weights if keras.tree.flatten(weights) else None
        return self._value(labels, outputs, weights, reference)


def _repeat(structure, copies):
    """Returns a batch `copies` times over, one whole batch after the other."""
    if isinstance(copies, int) and copies == 1:
        return structure

    def tile(tensor):
        shape = tensor.shape
        tiled = tf.tile(tensor, [copies, *[1] * (shape.rank - 1)])
        return tf.ensure_shape(tiled, [None, *shape[1:]])

    return keras.tree.map_structure(tile, structure)
