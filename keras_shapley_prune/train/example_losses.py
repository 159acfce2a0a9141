"""Distillation losses of a batch whose examples have weights."""

import inspect

import keras
import tensorflow as tf


def weighted_loss(loss, teacher_outputs, student_outputs, sample_weight):
    """Returns a distillation loss in which each example counts by its weight.

    Args:
        loss: A `keras.distillation.DistillationLoss`. If its `compute_loss` has an
            argument `sample_weight`, this is handed on. Else the loss of each example
            is computed by itself, and counts by the mean of its weights.
        teacher_outputs: Tensor, or a structure of tensors.
        student_outputs: Of the structure that the loss takes.
        sample_weight: `None`, a tensor or a list of tensors, one for each output.

    Returns:
        A scalar. The losses are divided by their number, as Keras does, and not by
        the sum of the weights.

    Raises:
        ValueError: If the loss returns anything but a scalar.
    """
    if sample_weight is None:
        return _scalar(loss, teacher_outputs, student_outputs)
    if "sample_weight" in inspect.signature(loss.compute_loss).parameters:
        return _scalar(
            loss, teacher_outputs, student_outputs, sample_weight=sample_weight
        )

    def loss_of_example(outputs):
        batch_of_one = keras.tree.map_structure(lambda tensor: tensor[None], outputs)
        return _scalar(loss, *batch_of_one)

    pair = keras.tree.map_structure(
        tf.convert_to_tensor, (teacher_outputs, student_outputs)
    )
    losses = tf.vectorized_map(loss_of_example, pair)
    return tf.reduce_mean(losses * _of_examples(sample_weight, losses))


def _scalar(loss, *outputs, **weights):
    """Returns the loss of a batch, or raises a `ValueError` if it is no scalar."""
    value = tf.convert_to_tensor(loss.compute_loss(*outputs, **weights))
    if value.shape.rank != 0:
        raise ValueError(
            "Argument `distillation_losses` should hold losses whose `compute_loss` "
            f"returns a scalar. Received: shape {value.shape} from {type(loss)}"
        )
    return value


def _of_examples(sample_weight, losses):
    """Returns one weight for each example: the mean over outputs and positions."""
    several = isinstance(sample_weight, (list, tuple))
    means = []
    for weight in sample_weight if several else [sample_weight]:
        weight = tf.ones_like(losses) if weight is None else weight
        weight = tf.cast(weight, losses.dtype)
        flat = tf.reshape(weight, (tf.shape(weight)[0], -1))
        means.append(tf.reduce_mean(flat, axis=-1))
    return tf.reduce_mean(tf.stack(means), axis=0)
