"""What a coalition is worth: one value an example, the higher the better."""

import tensorflow as tf

from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.layer_types.registry import find_nearest_type
from keras_shapley_prune.trace.recording import record_graph


def resolve_value(value, model, loss=None):
    """Returns the value function of a game.

    Args:
        value: `"loss"` for minus the model's loss, `"kl"` for minus the
            Kullback-Leibler divergence of the outputs from those of the network with
            all units (no labels needed), or a callable `fn(labels, outputs)` that
            returns one value an example, the higher the better.
        model: The `keras.Model`.
        loss: What `model.compile(loss=...)` takes, or `None` for the compiled loss.
            Only for `value="loss"`.

    Returns:
        A `LossValue`, `DivergenceValue` or `CallableValue`.

    Raises:
        ValueError: If `value` is none of these, or `loss` does not go with it.
    """
    if value == "loss":
        return LossValue(resolve_loss(model, loss))
    if loss is not None:
        raise ValueError(
            "Argument `loss` should be given with value='loss' only. "
            f"Received: value={value!r}, loss={loss!r}"
        )
    if value == "kl":
        return DivergenceValue(model)
    if callable(value):
        return CallableValue(value)
    raise ValueError(
        "Argument `value` should be 'loss', 'kl' or a callable "
        f"`fn(labels, outputs)`. Received: value={value!r}"
    )


class LossValue:
    """Minus the loss of each example."""

    needs_labels = True
    needs_reference = False

    def __init__(self, loss):
        self._loss = loss

    def __call__(self, labels, outputs, weights, reference):
        return -self._loss(labels, outputs, weights)


class DivergenceValue:
    """Minus KL(original || masked), summed over the outputs.

    An output of a layer with a softmax activation is read as probabilities, of one
    with a sigmoid as independent probabilities; any other as logits of a softmax.
    """

    needs_labels = False
    needs_reference = True

    def __init__(self, model):
        graph = record_graph(model)
        makers = {t: call.operation for call in graph.calls for t in call.outputs}
        activations = [_activation_name(makers.get(t)) for t in graph.outputs]
        self._to_log_probabilities = [_LOGARITHMS.get(a, _logits) for a in activations]

    def __call__(self, labels, outputs, weights, reference):
        total = 0.0
        for convert, original, output in zip(
            self._to_log_probabilities, reference, outputs, strict=True
        ):
            wanted, got = convert(original), convert(output)
            divergence = tf.reduce_sum(tf.exp(wanted) * (wanted - got), axis=-1)
            axes = range(1, divergence.shape.rank)
            total -= tf.reduce_mean(divergence, axis=axes)
        return total


class CallableValue:
    """What the user's function returns."""

    needs_labels = False
    needs_reference = False

    def __init__(self, function):
        self._function = function

    def __call__(self, labels, outputs, weights, reference):
        outputs = outputs[0] if len(outputs) == 1 else outputs
        return tf.cast(self._function(labels, outputs), tf.float32)


def _activation_name(operation):
    return find_nearest_type(operation).output_activation(operation)


_EPSILON = 1e-7


def _logits(outputs):
    return tf.nn.log_softmax(tf.cast(outputs, tf.float32))


def _probabilities(outputs):
    return tf.math.log(tf.cast(outputs, tf.float32) + _EPSILON)


def _independent(outputs):
    outputs = tf.cast(outputs, tf.float32)[..., tf.newaxis]
    return tf.math.log(tf.concat([outputs, 1 - outputs], axis=-1) + _EPSILON)


_LOGARITHMS = {"softmax": _probabilities, "sigmoid": _independent}
