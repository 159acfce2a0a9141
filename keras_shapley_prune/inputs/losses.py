"""The loss of each example of a batch, from a model's compiled loss."""

import keras
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import compile_arguments
from keras_shapley_prune.inputs.labels import check_labels_fit


def resolve_loss(model, loss=None):
    """Returns the loss to play with, one for each output of the model.

    Args:
        model: A `keras.Model`.
        loss: What `model.compile(loss=...)` takes, or `None` for the loss the model
            is compiled with.

    Returns:
        A `PerExampleLoss`.

    Raises:
        ValueError: If there is no loss, or not one for each output.
    """
    weights = None
    if loss is None:
        loss = getattr(model, "loss", None) if model.compiled else None
        if loss is None:
            raise ValueError(
                "Argument `model` should be compiled with a loss, or a loss by itself "
                "be given, as in `games.Loss('mse')`. "
                f"Received: model {model.name!r}, which is "
                + ("compiled without a loss" if model.compiled else "not compiled")
            )
        # They belong to the compiled loss, and to no other.
        weights = compile_arguments(model).get("loss_weights")
    names = output_names(model)
    losses = [_get_loss(entry) for entry in per_output(loss, names, "loss")]
    weights = per_output(1.0 if weights is None else weights, names, "loss_weights")
    return PerExampleLoss(names, losses, weights)


class PerExampleLoss:
    """Computes one loss value for each example, summed over the outputs.

    Args:
        names: List of the output names.
        losses: List of a loss (a `keras.losses.Loss` or a function of labels and
            predictions) or `None` for each output.
        weights: List of the weight of each loss.
    """

    def __init__(self, names, losses, weights):
        self._names, self._losses, self._weights = names, losses, weights

    def check_labels(self, labels, outputs):
        """Raises a `ValueError` unless it can be computed of labels.

        Args:
            labels: What `model.fit` takes as `y`.
            outputs: List of the model's symbolic outputs.
        """
        check_labels_fit(labels, self._names, self._losses, outputs)

    def __call__(self, labels, predictions, sample_weight=None):
        """Returns the losses, float32, shape `(batch,)`.

        Args:
            labels: What `model.fit` takes as `y`.
            predictions: Flat list of the model's outputs.
            sample_weight: What `model.fit` takes as `sample_weight`, or `None`.
        """
        labels = _align(labels, self._names, "y")
        weights = [None] * len(self._names)
        if sample_weight is not None:
            weights = per_output(sample_weight, self._names, "sample_weight")
        total = 0.0
        for label, prediction, loss, factor, weight in zip(
            labels, predictions, self._losses, self._weights, weights, strict=True
        ):
            if loss is not None:
                values = _unreduced(loss, label, prediction)
                total += (1.0 if factor is None else factor) * _weigh(values, weight)
        return total


def output_names(model):
    """Returns the names of the outputs: the keys, where the model returns a dict."""
    structure = getattr(model, "output", None)
    if isinstance(structure, dict):
        # A dict of losses has these keys, not the names of layers.
        keys = {id(tensor): key for key, tensor in structure.items()}
        return [keys[id(tensor)] for tensor in keras.tree.flatten(structure)]
    return list(getattr(model, "output_names", None) or ["output"])


def _get_loss(entry):
    return keras.losses.get(entry) if isinstance(entry, (str, dict)) else entry


def per_output(value, names, argument):
    """Returns one entry for each output from a single value, a list or a dict."""
    if isinstance(value, (list, tuple)) or (isinstance(value, dict) and names):
        return _align(value, names, argument)
    return [value] * len(names)


def _align(value, names, argument):
    if isinstance(value, dict):
        unknown = set(value) - set(names)
        if unknown:
            raise ValueError(
                f"Argument `{argument}` should be a dict over the outputs {names}. "
                f"Received: keys {sorted(value)}"
            )
        return [value.get(name) for name in names]
    flat = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(flat) != len(names):
        raise ValueError(
            f"Argument `{argument}` should have one entry for each of the outputs "
            f"{names}. Received: {len(flat)} entries"
        )
    return flat


def _unreduced(loss, labels, predictions):
    """Applies one loss without reducing it over the batch."""
    # `Loss.call` returns a number for each example or position, `__call__` their mean.
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    labels = tf.cast(labels, tf.float32)
    predictions = tf.cast(predictions, tf.float32)
    # Where one of them lacks a last axis of length 1, the two would broadcast.
    if predictions.shape.rank == labels.shape.rank + 1 and predictions.shape[-1] == 1:
        labels = labels[..., tf.newaxis]
    elif labels.shape.rank == predictions.shape.rank + 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    values = tf.convert_to_tensor(function(labels, predictions))
    if values.shape.rank == 0:  # it averages over the batch: one example at a time
        values = tf.vectorized_map(
            lambda pair: function(pair[0][tf.newaxis], pair[1][tf.newaxis]),
            (labels, predictions),
        )
    return tf.cast(values, tf.float32)


def _weigh(values, weight):
    """Averages over all axes but the batch, weighted."""
    if weight is not None:
        weight = tf.cast(weight, values.dtype)
        # Weights may have a last axis of length 1, as labels may.
        if weight.shape.rank == values.shape.rank + 1 and weight.shape[-1] == 1:
            weight = weight[..., 0]
        # Weights may be of examples, or of their time steps: values are averaged over
        # the axes behind these first.
        values = _mean_to_rank(values, max(weight.shape.rank, 1)) * weight
    return _mean_to_rank(values, 1)


def _mean_to_rank(values, rank):
    return tf.reduce_mean(values, axis=range(rank, values.shape.rank))
