"""Which normalizations can be folded into the layers before them, exactly."""

import keras

from keras_shapley_prune.layer_types.bias_folding import (
    ends_linear,
    has_bias,
    normalizes_channels,
)
from keras_shapley_prune.layer_types.registry import (
    find_depthwise_form,
    find_layer_type,
    find_linear_form,
)
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.stock.recreation import read_config


def find_foldable(graph, keeps_names):
    """Returns the normalizations that can be folded into the layers that they read.

    Args:
        graph: The recorded `Graph` of the model.
        keeps_names: Boolean, whether the outputs of the model have to be of layers of
            the same names: then a normalization that returns one of them is not among
            the result.

    Returns:
        Dict: linear layer -> the layer that alone normalizes what it returns.
    """
    calls, inner = {}, set()  # a layer, alone or at every time step -> its calls
    for call in graph.calls:
        operation = innermost(call.operation)
        calls.setdefault(operation, []).append(call)
        if isinstance(operation, keras.Layer):
            inner.update(operation._flatten_layers(include_self=False))
    found = {}
    for layer, own in calls.items():
        readers = _find_readers(graph, own)
        if readers is None:
            continue
        normalization = innermost(readers[0].operation)
        # Wherever one of the two is called, the other one is.
        if calls[normalization] != readers or inner & {layer, normalization}:
            continue
        returns = any(call.outputs[0] in graph.outputs for call in readers)
        if returns and keeps_names:
            continue
        pairs = zip(own, readers, strict=True)
        if _can_be_scaled(layer) and all(_is_exact(*pair) for pair in pairs):
            found[layer] = normalization
    return found


def _find_readers(graph, calls):
    """Returns the calls that alone read what some return, or `None`.

    Args:
        graph: The recorded `Graph`.
        calls: All calls of one layer.
    """
    borders = {*graph.outputs}
    for nested in graph.nested:  # a nested model may be used by itself
        borders.update((*nested.inputs, *nested.outputs))
    readers = []
    for call in calls:
        reading = graph.consumers().get(call.outputs[0], [])
        if len(call.outputs) > 1 or len(reading) != 1 or call.outputs[0] in borders:
            return None
        readers += reading
    return readers


def _can_be_scaled(layer):
    """Returns whether a layer has a kernel and a bias of which outputs are a sum."""
    if find_linear_form(layer) is None and find_depthwise_form(layer) is None:
        return False
    if not ends_linear(layer):
        return False
    # A constraint would change the folded kernel at the first step of training.
    constrained = any(weight.constraint is not None for weight in layer.weights)
    constrained = constrained or getattr(layer, "bias_constraint", None) is not None
    plain = all(keras.backend.is_float_dtype(weight.dtype) for weight in layer.weights)
    # A kernel with another one of low rank beside it is no single variable.
    parts = layer._flatten_layers()
    plain = plain and not any(getattr(part, "lora_enabled", False) for part in parts)
    biased = has_bias(layer) or find_layer_type(layer).add_bias(read_config(layer))
    return plain and biased and not constrained


def _is_exact(call, reader):
    """Returns whether a linear call can do what the one that reads it does."""
    (tensor,) = call.outputs
    layer, normalization = innermost(call.operation), innermost(reader.operation)
    if not normalizes_channels(reader) or find_layer_type(call.operation).unfit(call):
        return False
    # A loss that is taken of an output would be one of another output.
    if layer.activity_regularizer or normalization.activity_regularizer:
        return False
    plain = len(reader.args) == 1 and reader.args[0] is tensor
    options = {name: v for name, v in reader.kwargs.items() if v is not None}
    # With `training=True` the statistics are those of the batch.
    inference = not options.pop("training", False)
    options.pop("mask", None)  # of time steps: in inference it is not read
    same_dtype = tensor.dtype == reader.outputs[0].dtype
    return plain and inference and not options and same_dtype
