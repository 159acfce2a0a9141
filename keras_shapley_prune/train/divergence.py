"""The KL divergence of softened outputs, or the squared error of values."""

import keras

_TINY = 1e-30  # probabilities below are taken as this


class Divergence(keras.losses.Loss):
    """The distance of one output.

    Args:
        kind: String, one of `OUTPUTS`.
        temperature: Float above 0.
    """

    def __init__(self, kind, temperature):
        super().__init__(name="divergence")
        self.kind, self.temperature = kind, temperature

    def call(self, y_true, y_pred):
        """Returns one number for each example and position.

        Args:
            y_true: The teacher's outputs.
            y_pred: The student's outputs.
        """
        ops, temperature = keras.ops, self.temperature
        if self.kind == "values":
            return ops.mean(ops.square(y_true - y_pred), axis=-1)
        teacher, student = (self._soften(outputs) for outputs in (y_true, y_pred))
        if self.kind in ("logits", "softmax"):
            logs = [ops.log_softmax(logits) for logits in (teacher, student)]
            divergence = ops.sum(ops.exp(logs[0]) * (logs[0] - logs[1]), axis=-1)
        else:
            # Each class is a choice of its own, between yes and no.
            likely = ops.sigmoid(teacher)
            yes = ops.log_sigmoid(teacher) - ops.log_sigmoid(student)
            no = ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student)
            divergence = ops.mean(likely * yes + (1 - likely) * no, axis=-1)
        # Softened gradients are smaller by this factor (Hinton et al., section 2).
        return divergence * temperature**2

    def _soften(self, outputs):
        """Returns logits, divided by the temperature."""
        if self.kind == "softmax":
            outputs = _log(outputs)
        elif self.kind == "sigmoid":
            outputs = _log(outputs) - _log(1 - outputs)  # the inverse of the sigmoid
        return outputs / self.temperature


def _log(probabilities):
    return keras.ops.log(keras.ops.maximum(probabilities, _TINY))
