"""`Distiller`, the name and order of arguments before `PruningDistiller`."""

import warnings

from keras_shapley_prune.train.output_distillation import OutputDistillation
from keras_shapley_prune.train.pruning_distiller import PruningDistiller


def Distiller(student, teacher, alpha=0.1, temperature=3.0, outputs=None):  # noqa: N802
    """Returns a `PruningDistiller`, and warns that it is to be used instead.

    Args:
        student: See `PruningDistiller`.
        teacher: See `PruningDistiller`.
        alpha: Its `student_loss_weight`.
        temperature: See `OutputDistillation`.
        outputs: See `OutputDistillation`.
    """
    warnings.warn(
        "`Distiller(student, teacher, alpha, temperature, outputs)` is deprecated and "
        "will be removed in the release after this one. Write "
        "`PruningDistiller(teacher, student, OutputDistillation(outputs, temperature), "
        "student_loss_weight=alpha)`: the teacher comes first, as in "
        "`keras.distillation.Distiller`.",
        DeprecationWarning,
        stacklevel=2,
    )
    return PruningDistiller(
        teacher,
        student,
        OutputDistillation(outputs, temperature),
        student_loss_weight=alpha,
    )
