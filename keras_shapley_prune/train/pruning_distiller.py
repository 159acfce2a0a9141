"""`PruningDistiller`: trains a pruned network towards the original by plain `fit`."""

import keras
import tensorflow as tf

from keras_shapley_prune.inputs.arguments import check_share
from keras_shapley_prune.inputs.compiling import copy_compile_config
from keras_shapley_prune.inputs.losses import output_names, per_output
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.train.distiller_arguments import (
    check_others,
    check_pair,
    read_losses,
    read_weights,
)
from keras_shapley_prune.train.example_losses import weighted_loss
from keras_shapley_prune.train.kept_flags import kept_flags
from keras_shapley_prune.train.layer_outputs import LayerOutputs


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class PruningDistiller(keras.distillation.Distiller):
    """Trains a student on its teacher's outputs, and on labels if there are some.

    A `keras.distillation.Distiller` with the same arguments and losses. What it adds:

    - The loss need not be named: the student's own loss or last activation says
      whether outputs are logits, probabilities or values.
    - Labels are optional. With labels the loss is `student_loss_weight` times the
      student's own loss plus `1 - student_loss_weight` times the distillation losses.
      Without labels it is the distillation losses alone.
    - Sample weights count, and regularization losses are added in full.
    - A compiled student goes on: the distiller is compiled with its loss and metrics,
      and with its very optimizer. `compile` changes that, or serves a student that is
      not compiled; without labels no loss is needed.
    - The teacher keeps its `trainable` flags. It is run as in inference and its weights
      are not trained.

    `fit`, `evaluate`, callbacks and data are Keras's. The student is trained in place
    and is a plain model as before: save that. A `UserWarning` tells if the teacher is
    the smaller one of the two.

    Args:
        teacher: A built Sequential or functional `keras.Model`, such as the original.
        student: A model with the same inputs and outputs, such as the pruned one.
        distillation_losses: A `keras.distillation.DistillationLoss` or a list of them:
            `OutputDistillation`, Keras's `FeatureDistillation` (of layers, by their
            names) and `LogitsDistillation`, or subclasses of your own. `None` for
            `OutputDistillation()`.
        distillation_loss_weights: List of a number of at least 0 for each of the
            distillation losses. `None` for 1 each.
        student_loss_weight: Float between 0 and 1, the weight of the labels.
        name: String, or `None` for the student's name and `"_distiller"`.
        **kwargs: What else a `keras.Model` takes, such as `dtype`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5)
    distiller = keras_shapley_prune.PruningDistiller(model, pruned)
    distiller.fit(x, y, epochs=5, validation_data=(x_val, y_val))
    pruned.save("pruned.keras")
    ```
    """

    def __init__(
        self,
        teacher,
        student,
        distillation_losses=None,
        distillation_loss_weights=None,
        student_loss_weight=0.1,
        name=None,
        **kwargs,
    ):
        check_model(teacher, "teacher")
        check_model(student, "student")
        check_pair(teacher, student)
        losses = read_losses(distillation_losses)
        weights = read_weights(distillation_loss_weights, len(losses))
        check_share("student_loss_weight", student_loss_weight)
        check_others(name, kwargs)
        with kept_flags(teacher):  # Keras's distiller freezes it
            super().__init__(
                teacher,
                student,
                losses,
                weights,
                student_loss_weight,
                name=f"{student.name}_distiller" if name is None else name,
                **kwargs,
            )
        ends = ("teacher_layer_name", "student_layer_name")
        taught, learned = (
            [getattr(loss, end, None) for loss in losses] for end in ends
        )
        self._layers_read = list(zip(taught, learned, strict=True))
        self._teacher_outputs = LayerOutputs(teacher, taught)
        self._student_outputs = LayerOutputs(student, learned)
        self.output_names = output_names(student)
        self.built = True  # the student is
        config = copy_compile_config(student)
        if config is not None:
            # The very optimizer, with its state, where the copy has a new one.
            self.compile(**{**config, "optimizer": student.optimizer})

    @property
    def trainable_variables(self):
        """List of the student's trainable variables: the teacher is not trained."""
        return self.student.trainable_variables

    @property
    def trainable_weights(self):
        """List of the student's trainable weights: the teacher is not trained."""
        return self.student.trainable_weights

    @property
    def non_trainable_variables(self):
        """List of all other variables, among them the teacher's."""
        return _without(self.variables, self.trainable_variables)

    @property
    def non_trainable_weights(self):
        """List of all other weights, among them the teacher's."""
        return _without(self.weights, self.trainable_weights)

    @property
    def losses(self):
        """List of scalars: penalties of the student's layers, not of the teacher's."""
        return self.student.losses

    @property
    def metrics(self):
        """List of the metrics that have a result."""
        # Those that are compiled have none as long as there have been no labels.
        return [m for m in super().metrics if getattr(m, "built", True)]

    def compile(self, optimizer="adam", loss=None, metrics=None, **kwargs):
        """Sets how the student is trained, like `compile` of the student.

        Args:
            optimizer: The optimizer of the student.
            loss: The student's loss on labels. `None` for the one that it is compiled
                with; without labels none is needed.
            metrics: Metrics of the student's outputs and the labels.
            **kwargs: What else `keras.Model.compile` takes.
        """
        # Keras's distiller would keep the loss to itself, without sample weights.
        keras.Model.compile(self, optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config):
        """Compiles a distiller that is loaded from a file.

        Args:
            config: Dict, what `get_compile_config` returned.
        """
        # Keras leaves this to classes with a `compile` of their own.
        arguments = keras.saving.deserialize_keras_object(config)
        own = self.student.optimizer if self.student.compiled else None
        if own is not None and own.get_config() == arguments["optimizer"].get_config():
            arguments["optimizer"] = own  # one again, as when it was saved
        self.compile(**arguments)
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None):
        return self._student_outputs.run_and_keep(inputs, training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the loss of a batch, a scalar.

        Args:
            x: The inputs.
            y: The labels, or `None`.
            y_pred: The student's outputs, or `None` to compute them.
            sample_weight: Weights of the examples, or `None`.
            training: Boolean, whether the student is run as in training.

        Raises:
            ValueError: If there are labels that count, and no loss is compiled.
        """
        if y_pred is None:
            y_pred = self(x, training=training)
        # Keras divides a loss by the number of replicas, whose gradients are added up.
        count = tf.distribute.get_strategy().num_replicas_in_sync
        distance = self._distill(x, y_pred, sample_weight, training)
        self.distillation_loss_tracker.update_state(count * distance)
        penalties = [keras.ops.sum(penalty) for penalty in self.losses]
        total = distance + sum(penalties) / count
        share = self.student_loss_weight
        if y is not None and share > 0:
            if getattr(self, "loss", None) is None:
                raise ValueError(
                    "Argument `loss` of `compile` should be given to train on labels, "
                    "if `student_loss_weight` is above 0. Received: loss=None, "
                    f"student_loss_weight={share}"
                )
            # Penalties are in both parts, and so count in full.
            own = keras.Model.compute_loss(self, x, y, y_pred, sample_weight, training)
            self.student_loss_tracker.update_state(count * own)
            total = share * own + (1 - share) * total
        self.total_loss_tracker.update_state(count * total)
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics.

        Args:
            x: The inputs.
            y: The labels, or `None`: then there are the distillation losses only.
            y_pred: The student's outputs.
            sample_weight: Weights of the examples, or `None`.

        Returns:
            A dict: name of each metric -> its value.
        """
        if y is not None:
            return super().compute_metrics(x, y, y_pred, sample_weight)
        results = self.get_metrics_result()
        names = "loss", "distillation_loss", "total_loss"
        return {name: results[name] for name in names}

    def _distill(self, x, y_pred, sample_weight, training):
        """Returns the weighted sum of the distillation losses."""
        learned = self._student_outputs.features_of(y_pred, x, training)
        outputs, taught = keras.tree.map_structure(
            keras.ops.stop_gradient, self._teacher_outputs.run(x, training=False)
        )
        if sample_weight is not None:
            names = self.output_names
            sample_weight = per_output(sample_weight, names, "sample_weight")
        total = 0.0
        for loss, weight, (theirs, ours) in zip(
            self.distillation_losses,
            self.distillation_loss_weights,
            self._layers_read,
            strict=True,
        ):
            pair = (
                outputs if theirs is None else taught[theirs],
                y_pred if ours is None else learned[ours],
            )
            loss.validate_outputs(*pair)
            # Of half precision, where Keras's losses do not leave it.
            value = weighted_loss(loss, *pair, sample_weight)
            total += weight * keras.ops.cast(value, keras.config.floatx())
        return total


def _without(variables, excluded):
    excluded = {id(variable) for variable in excluded}
    return [variable for variable in variables if id(variable) not in excluded]
