"""Losses and metrics that are not registered with Keras."""

import keras


def odd_loss(labels, predictions):
    """A loss function that is not registered with Keras."""
    labels = keras.ops.one_hot(keras.ops.cast(labels, "int32"), 4)
    return keras.ops.mean(keras.ops.abs(labels - predictions), axis=-1)


def odd_metric(labels, predictions):
    """A metric function that is not registered with Keras."""
    return keras.ops.max(predictions, axis=-1)


class OddLoss(keras.losses.Loss):
    """A loss class that is not registered with Keras."""

    def __init__(self, scale):
        super().__init__(name="odd")
        self.scale = scale

    def call(self, labels, predictions):
        return self.scale * odd_loss(labels, predictions)


class OddMetric(keras.metrics.Mean):
    """A metric class that is not registered with Keras."""

    def update_state(self, labels, predictions, sample_weight=None):
        return super().update_state(odd_metric(labels, predictions))


class SizedMetric(keras.metrics.Mean):
    """A metric class with an argument that its config leaves out."""

    def __init__(self, power, name="sized"):
        super().__init__(name=name)
        self.power = power

    def update_state(self, labels, predictions, sample_weight=None):
        return super().update_state(odd_metric(labels, predictions) ** self.power)
