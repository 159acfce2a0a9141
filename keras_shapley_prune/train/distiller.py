"""`Distiller`: trains a pruned network towards the original by plain `fit`."""

import keras

from keras_shapley_prune.inputs.arguments import check_at_least, check_share
from keras_shapley_prune.inputs.compiling import compile_arguments, copy_compile_config
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.train.distillation_loss import DistillationLoss, find_outputs


class Distiller(keras.Model):
    """Trains a student on its teacher's outputs, and on labels if there are some.

    Knowledge distillation, after Hinton et al. (2015,
    https://arxiv.org/abs/1503.02531). With labels the loss is `alpha` times the
    student's own loss plus `1 - alpha` times the distance from the teacher's outputs,
    both softened by `temperature`. Without labels it is that distance. Regularization
    losses are added in full.

    `fit`, `evaluate`, callbacks and data are Keras's. The student is trained in place
    and is a plain model as before: save that, not the distiller. The teacher is
    run as in inference and does not change, frozen or not.

    If the student is compiled, so is the distiller: with its loss and metrics, and
    with its very optimizer, which goes on from where it is. Else, or to change that,
    `compile` it; without labels no loss is needed.

    Args:
        student: A built Sequential or functional `keras.Model`.
        teacher: A model of the same inputs and outputs, such as the original.
        alpha: Float between 0 and 1, the weight of the labels.
        temperature: Float above 0. The higher, the more the small outputs count.
        outputs: String, what both return: `"logits"`, `"softmax"` (probabilities),
            `"binary_logits"`, `"sigmoid"` or `"values"` (of a regression: the squared
            error is used), or a list or dict of these. `None` to take it from the
            student's loss or last activation.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5)
    distiller = keras_shapley_prune.Distiller(pruned, model)
    distiller.fit(x, y, epochs=5, validation_data=(x_val, y_val))
    pruned.save("pruned.keras")
    ```
    """

    def __init__(self, student, teacher, alpha=0.1, temperature=3.0, outputs=None):
        check_model(student, "student")
        check_model(teacher, "teacher")
        super().__init__(name=f"{student.name}_distiller")
        check_share("alpha", alpha)
        check_at_least("temperature", temperature, 0, excluded=True)
        _check_pair(student, teacher)
        kinds = find_outputs(student, outputs)
        self.student, self.alpha, self.temperature = student, alpha, temperature
        # In a function Keras does not find it: its weights are not this model's.
        self._teach = lambda inputs: teacher(inputs, training=False)
        self._distances = [DistillationLoss(kind, temperature) for kind in kinds]
        self._factors = _loss_weights(student)
        self._distillation = keras.metrics.Mean(name="distillation")
        self.output_names = output_names(student)
        self.built = True  # the student is
        config = copy_compile_config(student)
        if config is not None:
            # The very optimizer, with its state, where the copy has a new one.
            self.compile(**{**config, "optimizer": student.optimizer})

    def call(self, inputs, training=None):
        return self.student(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the loss of a batch, a scalar.

        Args:
            x: The inputs.
            y: The labels, or `None`.
            y_pred: The student's outputs.
            sample_weight: Weights of the examples, or `None`.
            training: Boolean, not used.
        """
        loss = self._distill(self._teach(x), y_pred, sample_weight)
        self._distillation.update_state(loss)
        if y is not None and self.alpha > 0:
            # The loss that the student is compiled with, of all its outputs.
            own = self._compile_loss(y, y_pred, sample_weight)
            loss = self.alpha * own + (1 - self.alpha) * loss
        # Penalties of the student's own layers, which are in neither part.
        return loss + sum(keras.ops.sum(penalty) for penalty in self.losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics.

        Args:
            x: The inputs.
            y: The labels, or `None`: then there are the losses only.
            y_pred: The student's outputs.
            sample_weight: Weights of the examples, or `None`.

        Returns:
            A dict: name -> value, see `get_metrics_result`.
        """
        if y is not None:
            return super().compute_metrics(x, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self):
        """Returns a dict: name of each metric that has seen data -> its value."""
        losses = (self._loss_tracker, self._distillation)
        results = {metric.name: metric.result() for metric in losses}
        compiled = self._compile_metrics
        if compiled is not None and compiled.built:
            results.update(compiled.result())
        return results

    def _distill(self, teacher_outputs, student_outputs, sample_weight):
        """Returns the weighted distance from the teacher, of all outputs together."""
        expected, received = (
            keras.tree.flatten(outputs)
            for outputs in (teacher_outputs, student_outputs)
        )
        weights = per_output(sample_weight, self.output_names, "sample_weight")
        return sum(
            factor * distance(keras.ops.stop_gradient(before), after, weight)
            for distance, factor, before, after, weight in zip(
                self._distances, self._factors, expected, received, weights, strict=True
            )
        )


def _loss_weights(student):
    weights = None
    if student.compiled:
        weights = compile_arguments(student).get("loss_weights")
    weights = per_output(weights, output_names(student), "loss_weights")
    return [1.0 if weight is None else weight for weight in weights]


def _check_pair(student, teacher):
    """Raises a `ValueError` unless both take and return the same shapes."""
    for end in ("input", "output"):
        ours, theirs = (
            [tensor.shape for tensor in getattr(model, f"{end}s")]
            for model in (student, teacher)
        )
        if ours != theirs:
            raise ValueError(
                f"Arguments `student` and `teacher` should have the same {end} shapes. "
                f"Received: {ours} of the student, {theirs} of the teacher"
            )
