"""Where a constant that is added to a layer's output can go."""

import keras
import numpy as np

from keras_shapley_prune.layer_types.registry import find_form, find_layer_type


def find_normalization(graph, call):
    """Returns the BatchNormalization that alone reads what a linear call returns.

    Args:
        graph: The recorded `Graph`.
        call: One of its calls.

    Returns:
        The next `Call`, of a BatchNormalization that is called once, or `None`.
    """
    # Whoever else reads the output would not see a constant that is folded into the
    # normalization.
    readers = graph.consumers().get(call.outputs[0], [])
    exposed = call.outputs[0] in graph.outputs
    if len(readers) != 1 or exposed or not ends_linear(call.operation):
        return None
    (reader,) = readers
    # Called twice, it would add the constant in another place too.
    alone = len(graph.calls_of(reader.operation)) == 1
    return reader if normalizes_channels(reader) and alone else None


def normalizes_channels(call):
    """Returns whether a call is one of a BatchNormalization over the channels."""
    layer_type = find_layer_type(call.operation)
    return layer_type is not None and layer_type.normalizes_channels(call)


def has_bias(operation):
    """Returns whether a linear layer adds a bias, which a layer within may do for it.

    Args:
        operation: A layer that has a `LinearForm` or a `DepthwiseForm`.
    """
    form = find_form(operation)
    return form is not None and form.has_bias


def ends_linear(operation):
    """Returns whether a layer has no activation."""
    activation = getattr(operation, "activation", None)
    return activation is None or activation is keras.activations.linear


def can_take_bias(graph, call):
    """Returns whether a constant can be folded into what follows a call.

    Args:
        graph: The recorded `Graph`.
        call: A call of a linear layer.
    """
    # The bias of a shared layer would act in all of its calls.
    alone = len(graph.calls_of(call.operation)) == 1
    own = has_bias(call.operation)
    return alone and (own or find_normalization(graph, call) is not None)


def find_affine(normalization):
    """Returns what a BatchNormalization does to each channel in inference, in float64.

    Args:
        normalization: The layer.

    Returns:
        Tuple of arrays, shape `(channels,)`: the factors, and what is added behind
        them.
    """

    def read(weight):
        return keras.ops.convert_to_numpy(weight).astype("float64")

    factors = 1 / np.sqrt(read(normalization.moving_variance) + normalization.epsilon)
    if normalization.scale:
        factors = factors * read(normalization.gamma)
    shift = -read(normalization.moving_mean) * factors
    return factors, shift + (read(normalization.beta) if normalization.center else 0)
