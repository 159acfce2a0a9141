"""`TimeDistributed`: a layer, or a model, at every time step."""

from keras import Model, layers

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.stock.recreation import serialize_config
from keras_shapley_prune.layer_types.subclasses import computes_as


def find_wrapped(operation):
    """Returns the layer that an operation does at every time step, or `None`.

    Args:
        operation: The layer or raw operation.
    """
    if not isinstance(operation, layers.TimeDistributed):
        return None
    kind, stock = type(operation), layers.TimeDistributed
    plain = kind.__init__ is stock.__init__ and computes_as(kind, stock)
    return operation.layer if plain and _find_reason(operation) is None else None


def wrap_again(wrapper, layer):
    """Returns a wrapper like another one around another layer.

    Args:
        wrapper: A layer, of which `find_wrapped` has found one in it.
        layer: What is to take the place of that one.
    """
    config = serialize_config(wrapper)
    return type(wrapper)(layer, **{k: v for k, v in config.items() if k != "layer"})


def _find_reason(wrapper):
    """Returns why the steps cannot be taken apart, `None` if they can."""
    inner = wrapper.layer
    if any(getattr(layer, "stateful", False) for layer in inner._flatten_layers()):
        return "goes on from step to step with the state of a stateful layer"
    if wrapper.compute_dtype != inner.compute_dtype:
        return (
            f"computes in {wrapper.compute_dtype}, and the layer in it by itself in "
            f"{inner.compute_dtype}"
        )
    return None


class TimeDistributedType(LayerType):
    """A wrapper that is not followed: most are recorded as what they wrap."""

    def weights(self, operation):
        return [(weight, "." * len(weight.shape)) for weight in operation.weights]

    def wrapped(self, operation):
        return operation.layer

    def unfit(self, call):
        if _find_reason(call.operation) is not None:
            return _find_reason(call.operation)
        inner = call.operation.layer
        if not isinstance(inner, Model):
            return f"cannot do a step of {type(inner).__name__} by itself"
        if call.kwargs.get("mask") is not None:
            return "gives a mask of time steps to the layers of a model"
        return (
            f"wraps {inner.name!r}, a model that is no graph of layers, or where the "
            "first axis of some tensor is not that of the examples"
        )


LAYER_TYPES[layers.TimeDistributed] = TimeDistributedType()
