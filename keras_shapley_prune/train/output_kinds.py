"""What the outputs of a model are: logits, probabilities or values."""

import keras

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.layer_types.registry import find_nearest_type

OUTPUTS = ("logits", "softmax", "binary_logits", "sigmoid", "values")


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
