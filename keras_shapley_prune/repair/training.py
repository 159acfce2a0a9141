"""The training of a student, a step at a time, and how far it has come."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.repair.relative_adam import RelativeAdam
from keras_shapley_prune.repair.shared_weights import share_weights
from keras_shapley_prune.repair.spread_gradients import spread_gradients

CHECK_EVERY = 25  # steps from one look at the held-out examples to the next
_LOSS_SCALE = 1024.0  # in half precision, small gradients would vanish


class Training:
    """Trains a student to have the original's features.

    Args:
        student: The `keras.Model` that is trained.
        imitation: The `Imitation` of the original, with the examples held out.
        data: The `TrainingData`, the same on all workers.
        learning_rate: Float, see `Mimic`.
        pace: The `Pace`.
        entry: An `Entry` that holds how far the training has come, or `None`.

    Attributes:
        start: Float, the held-out error of the network as it came.
        error: Float, that of the last check.
        best: List of arrays, the weights of the lowest error; `None` if none is lower
            than `start`.
    """

    def __init__(self, student, imitation, data, learning_rate, pace, entry=None):
        self._student, self._imitation, self._data = student, imitation, data
        self._learning_rate, self._pace = learning_rate, pace
        self._entry = entry or Checkpoint().entry("training")
        # To beat is the network as it came, before its last layers get the original's
        # weights back: that alone can make it worse.
        self._workers = current_workers()
        (start,) = self._workers.agree(imitation.error())
        self.start = self.error = self._lowest = start
        self.best, self._is_over = None, False
        imitation.restore_heads()
        # The optimizer measures the variables as they are before the first step.
        self._optimizer = RelativeAdam(imitation.layers)
        self._take_step = self._compile()
        content = self._entry.read()
        if self._entry.is_kept:
            num_done = content and content["pace"]["num_done"]
            self._workers.check_same({"steps that the checkpoint holds": num_done})
        if content is not None:
            self._restore(content)

    def run(self, on_check):
        """Trains to the end.

        Args:
            on_check: Callable `fn(share, error)`, called after each look at the
                held-out examples. It returns whether the training is to end there.
        """
        batches, pace, was_over = self._data.draw(), self._pace, self._is_over
        while not self._is_over and pace.goes_on():
            inputs = next(batches)
            rate = tf.constant(self._learning_rate * pace.rate)
            pace.step(lambda inputs=inputs, rate=rate: self._take_step(inputs, rate))
            if pace.num_done % CHECK_EVERY == 0 or not pace.goes_on():
                self._check()
                self._is_over |= bool(on_check(pace.share, self.error))
            self._entry.write_if_due(self._collect)
        self._is_over = True
        share_weights(self._student.variables, self._workers)
        if not was_over:
            self._entry.write(self._collect())
        # At the end the rate is zero. A lower one of many looks before was just lucky.
        if self.error < self.start:
            self.best = self._student.get_weights()

    def _check(self):
        (self.error,) = self._workers.agree(self._pace.check(self._imitation.error))
        if self.error < self._lowest:
            self._lowest, self.best = self.error, self._student.get_weights()
        self._is_over = not math.isfinite(self.error)

    def _compile(self):
        optimizer, imitation = self._optimizer, self._imitation
        variables = [variable.value for variable in optimizer.variables]

        def find_gradients(inputs):
            expected = imitation.expect(inputs)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss = _LOSS_SCALE * imitation.loss(inputs, expected)
            gradients = tape.gradient(loss, variables)
            return [_unscale(gradient) for gradient in gradients]

        find = spread_gradients(find_gradients, self._data.is_divisible)

        @tf.function
        def take_step(inputs, rate):
            optimizer.apply(find(inputs), rate)

        return take_step

    def _collect(self):
        """Returns what `_restore` takes, a dict."""
        arrays = {
            "weight": self._student.get_weights(),
            "slot": [slot.numpy() for slot in self._optimizer.slots],
            "best": self.best or [],
        }
        return {
            "error": self.error,
            "lowest": self._lowest,
            "is_over": self._is_over,
            "pace": self._pace.state,
            **self._data.state,
            **{
                f"{kind}.{i}": a
                for kind, some in arrays.items()
                for i, a in enumerate(some)
            },
        }

    def _restore(self, content):
        self._student.set_weights(_find_arrays(content, "weight"))
        slots = _find_arrays(content, "slot")
        for slot, value in zip(self._optimizer.slots, slots, strict=True):
            slot.assign(value)
        self.best = _find_arrays(content, "best") or None
        self.error, self._lowest = content["error"], content["lowest"]
        self._is_over = content["is_over"]
        self._pace.restore(content["pace"])
        self._data.restore(content)


def _find_arrays(content, kind):
    """Returns the arrays of one kind, in their order."""
    count = sum(name.startswith(f"{kind}.") for name in content)
    return [np.asarray(content[f"{kind}.{place}"]) for place in range(count)]


def _unscale(gradient):
    if gradient is None:  # of a variable that changes nothing
        return None
    return tf.cast(tf.convert_to_tensor(gradient), tf.float32) / _LOSS_SCALE
