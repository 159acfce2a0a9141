"""The arguments of a distiller: that they fit together, before any of them is used."""

import keras

from keras_shapley_prune.inputs.arguments import check_at_least, check_kind, show
from keras_shapley_prune.inputs.models import warn_of_order
from keras_shapley_prune.train.output_distillation import OutputDistillation

# Other arguments that a model takes, and so Keras's distiller.
_OF_KERAS = ("activity_regularizer", "autocast", "dtype", "trainable")


def check_pair(teacher, student):
    """Raises a `ValueError` unless both take and return the same shapes.

    Warns if the teacher is the smaller one: the original would be trained, in place.
    """
    for end in ("input", "output"):
        theirs, ours = (
            [tensor.shape for tensor in getattr(model, f"{end}s")]
            for model in (teacher, student)
        )
        if ours != theirs:
            raise ValueError(
                f"Arguments `teacher` and `student` should have the same {end} shapes. "
                f"Received: {theirs} of the teacher, {ours} of the student"
            )
    warn_of_order(teacher, student, "`teacher` and `student`", stacklevel=3)


def read_losses(losses):
    """Returns a list of distillation losses, or raises a `ValueError`."""
    if losses is None:
        return [OutputDistillation()]
    losses = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    expected = (
        "a `keras.distillation.DistillationLoss`, such as `OutputDistillation`, a list "
        "of them or None"
    )
    for loss in losses or [losses]:
        check_kind(
            "distillation_losses", loss, keras.distillation.DistillationLoss, expected
        )
    return losses


def read_weights(weights, count):
    """Returns a list of the weight of each loss, or raises a `ValueError`."""
    if weights is None:
        return [1.0] * count
    name = "distillation_loss_weights"
    if not isinstance(weights, (list, tuple)) or len(weights) != count:
        raise ValueError(
            f"Argument `{name}` should be a list of a number for each of "
            f"the {count} distillation losses, or None. "
            f"Received: {name}={show(weights)}"
        )
    for weight in weights:
        check_at_least(name, weight, 0)
    return list(weights)


def check_others(name, others):
    """Raises a `ValueError` unless a model takes its name and other arguments."""
    if name is not None and (not isinstance(name, str) or "/" in name):
        raise ValueError(
            "Argument `name` should be a string without slashes, or None. "
            f"Received: name={show(name)}"
        )
    for other, value in others.items():
        if other not in _OF_KERAS:
            raise ValueError(
                f"Arguments `kwargs` should be among {_OF_KERAS}. "
                f"Received: {other}={show(value)}"
            )
