"""The distance of a student's outputs from its teacher's."""

import keras

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.layer_types.registry import find_nearest_type

OUTPUTS = ("logits", "softmax", "binary_logits", "sigmoid", "values")
_TINY = 1e-30  # probabilities below are taken as this


class DistillationLoss(keras.losses.Loss):
    """The KL divergence of softened outputs, times the temperature squared.

    After "Distilling the Knowledge in a Neural Network" (Hinton et al., 2015,
    https://arxiv.org/abs/1503.02531): both networks' logits are divided by the
    temperature. The factor makes gradients about as large at every temperature. Up to
    the teacher's entropy, on which no gradient depends, this is the paper's cross
    entropy; it is zero where the two agree.

    Args:
        outputs: String, what the outputs are: `"logits"` of exclusive classes,
            `"softmax"`: their probabilities, `"binary_logits"` of classes that do not
            exclude each other (or of one class), `"sigmoid"`: their probabilities, or
            `"values"`, for which it is the squared error.
        temperature: Float above 0.

    Example:

    >>> loss = DistillationLoss("softmax", temperature=1.0)
    >>> float(loss([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def __init__(self, outputs, temperature=3.0):
        super().__init__(name="distillation")
        self.outputs, self.temperature = outputs, temperature

    def call(self, y_true, y_pred):
        """Returns one number for each example and position.

        Args:
            y_true: The teacher's outputs.
            y_pred: The student's outputs.
        """
        ops, temperature = keras.ops, self.temperature
        if self.outputs == "values":
            return ops.mean(ops.square(y_true - y_pred), axis=-1)
        teacher, student = (self._soften(outputs) for outputs in (y_true, y_pred))
        if self.outputs in ("logits", "softmax"):
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
        if self.outputs == "softmax":
            outputs = _log(outputs)
        elif self.outputs == "sigmoid":
            outputs = _log(outputs) - _log(1 - outputs)  # the inverse of the sigmoid
        return outputs / self.temperature


def _log(probabilities):
    return keras.ops.log(keras.ops.maximum(probabilities, _TINY))


def find_outputs(model, outputs=None):
    """Finds out what the outputs of a model are.

    Args:
        model: A `keras.Model`.
        outputs: One of `OUTPUTS`, or a list or dict of them, one for each output.
            `None` to take it from the loss that the model is compiled with, or else
            from the last activation.

    Returns:
        List of strings, one of `OUTPUTS` for each output.

    Raises:
        ValueError: If one cannot be found out, or is none of these.
    """
    names = output_names(model)
    losses = getattr(model, "loss", None) if model.compiled else None
    found = [
        given if given is not None else _of_loss(loss) or _of_activation(tensor)
        for given, loss, tensor in zip(
            per_output(outputs, names, "outputs"),
            per_output(losses, names, "loss"),
            model.outputs,
            strict=True,
        )
    ]
    for name, kind in zip(names, found, strict=True):
        if not isinstance(kind, str) or kind not in OUTPUTS:
            known = ", whose loss and activation do not say" if kind is None else ""
            raise ValueError(
                f"Argument `outputs` should be one of {OUTPUTS} for each output of the "
                f"model. Received: {show(kind)} for output {name!r}{known}"
            )
    return found


_LOSSES = {  # snake-cased name -> of probabilities, of logits
    "categorical_crossentropy": ("softmax", "logits"),
    "sparse_categorical_crossentropy": ("softmax", "logits"),
    "categorical_focal_crossentropy": ("softmax", "logits"),
    "binary_crossentropy": ("sigmoid", "binary_logits"),
    "binary_focal_crossentropy": ("sigmoid", "binary_logits"),
    "mean_squared_error": ("values", "values"),
    "mean_absolute_error": ("values", "values"),
    "huber": ("values", "values"),
    "log_cosh": ("values", "values"),
}
_KNOWN = {keras.losses.get(name): kinds for name, kinds in _LOSSES.items()}
_KNOWN_CLASSES = {
    keras.losses.CategoricalCrossentropy: "categorical_crossentropy",
    keras.losses.SparseCategoricalCrossentropy: "sparse_categorical_crossentropy",
    keras.losses.CategoricalFocalCrossentropy: "categorical_focal_crossentropy",
    keras.losses.BinaryCrossentropy: "binary_crossentropy",
    keras.losses.BinaryFocalCrossentropy: "binary_focal_crossentropy",
    keras.losses.MeanSquaredError: "mean_squared_error",
    keras.losses.MeanAbsoluteError: "mean_absolute_error",
    keras.losses.Huber: "huber",
    keras.losses.LogCosh: "log_cosh",
}


def _of_loss(loss):
    if isinstance(loss, (str, dict)):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        kinds = _LOSSES.get(_KNOWN_CLASSES.get(type(loss)))
        # (kind of probabilities, kind of logits).
        return kinds and kinds[bool(getattr(loss, "from_logits", False))]
    kinds = _KNOWN.get(loss)
    # A function is called with its defaults, so on probabilities.
    return kinds and kinds[0]


def _of_activation(tensor):
    operation = tensor._keras_history.operation
    name = find_nearest_type(operation).output_activation(operation)
    return name if name in ("softmax", "sigmoid") else None
