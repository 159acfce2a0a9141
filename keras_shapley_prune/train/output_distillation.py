"""`OutputDistillation`: the distance of a student's outputs from its teacher's."""

import keras

from keras_shapley_prune.inputs.arguments import check_at_least, show
from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.train.divergence import Divergence
from keras_shapley_prune.train.output_kinds import OUTPUTS, find_outputs


@keras.saving.register_keras_serializable("keras_shapley_prune")
class OutputDistillation(keras.distillation.DistillationLoss):
    """The KL divergence of softened outputs, times the temperature squared.

    A distillation loss for `PruningDistiller` and for Keras's own
    `keras.distillation.Distiller`. Unlike `keras.distillation.LogitsDistillation`, it
    takes probabilities and binary classes as well as logits, and sample weights.

    After "Distilling the Knowledge in a Neural Network" (Hinton et al., 2015,
    https://arxiv.org/abs/1503.02531): both networks' logits are divided by the
    temperature. The factor makes gradients about as large at every temperature. Up to
    the teacher's entropy, on which no gradient depends, this is the paper's cross
    entropy; it is zero where the two agree.

    The losses of several outputs are added up by the `loss_weights` that the student
    is compiled with.

    Args:
        outputs: String, what the outputs are: `"logits"` of exclusive classes,
            `"softmax"`: their probabilities, `"binary_logits"` of classes that do not
            exclude each other (or of one class), `"sigmoid"`: their probabilities, or
            `"values"` of a regression, for which it is the squared error. For several
            outputs also a list or dict of these. `None` to take it from the student's
            compiled loss, or else from its last activation.
        temperature: Float above 0. The higher, the more the small outputs count.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    loss = keras_shapley_prune.OutputDistillation(temperature=2.0)
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5)
    distiller = keras_shapley_prune.PruningDistiller(model, pruned, loss)
    distiller.fit(images)
    ```
    """

    def __init__(self, outputs=None, temperature=3.0):
        check_at_least("temperature", temperature, 0, excluded=True)
        if outputs is not None:
            _check_outputs(outputs)
        self.outputs, self.temperature = outputs, temperature
        self._found = None  # kinds and weights of a student's outputs

    def validate_model_compatibility(self, teacher, student):
        """Finds out what the outputs of the student are. A distiller calls it.

        Args:
            teacher: A `keras.Model`, not used.
            student: A built Sequential or functional `keras.Model`.

        Raises:
            ValueError: If it cannot be found out, or the loss already belongs to a
                student with other outputs.
        """
        found = find_outputs(student, self.outputs), _output_weights(student)
        # A distiller before this one would silently go on with another loss.
        if self._found not in (None, found):
            raise ValueError(
                "Argument `distillation_losses` should hold an `OutputDistillation` of "
                f"its own for each student. Received: one for {self._found[0]} with "
                f"weights {self._found[1]}, and a student with {found[0]} and "
                f"{found[1]}"
            )
        self._found = found

    def compute_loss(
        self, teacher_outputs, student_outputs, sample_weight=None, **kwargs
    ):
        """Returns the loss of a batch, a scalar.

        Args:
            teacher_outputs: Tensor, or a structure of tensors.
            student_outputs: Of the same structure and shapes.
            sample_weight: `None`, a tensor of shape `(batch,)` or of the outputs' shape
                without the last axis, or a list of these, one for each output.
            **kwargs: Not used.

        Raises:
            ValueError: If the outputs are not known.
        """
        expected, received = (
            keras.tree.flatten(outputs)
            for outputs in (teacher_outputs, student_outputs)
        )
        count = len(received)
        kinds, factors = self._found or (self._given(count), [1.0] * count)
        weights = sample_weight
        if not isinstance(weights, (list, tuple)):
            weights = [sample_weight] * count
        return sum(
            factor
            * Divergence(kind, self.temperature)(
                keras.ops.stop_gradient(teacher), student, weight
            )
            for kind, factor, teacher, student, weight in zip(
                kinds, factors, expected, received, weights, strict=True
            )
        )

    def get_config(self):
        """Returns the arguments of the constructor, as a dict."""
        return {"outputs": self.outputs, "temperature": self.temperature}

    @classmethod
    def from_config(cls, config):
        """Returns a loss with the arguments of `config`.

        Args:
            config: A dict, see `get_config`.
        """
        return cls(**config)

    def _given(self, count):
        """Returns the kind of each output, as given: there is no student to ask."""
        kinds = keras.tree.flatten(self.outputs)
        if None in kinds:
            raise ValueError(
                "Argument `outputs` should be given where there is no distiller to "
                f"find out what they are. Received: outputs={show(self.outputs)}"
            )
        return kinds if len(kinds) > 1 else kinds * count


def _output_weights(student):
    weights = None
    if student.compiled:
        weights = compile_arguments(student).get("loss_weights")
    weights = per_output(weights, output_names(student), "loss_weights")
    return [1.0 if weight is None else weight for weight in weights]


def _check_outputs(outputs):
    """Raises a `ValueError` unless each output is said to be one of `OUTPUTS`."""
    several = isinstance(outputs, (list, tuple, dict))
    entries = outputs.values() if isinstance(outputs, dict) else outputs
    for kind in entries if several else [outputs]:
        if kind is None and several:
            continue  # of this one it is found out
        if not isinstance(kind, str) or kind not in OUTPUTS:
            raise ValueError(
                f"Argument `outputs` should be one of {OUTPUTS}, or a list or dict of "
                f"these. Received: outputs={show(outputs)}"
            )
