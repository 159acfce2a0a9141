"""What users say of a layer type of their own."""

import warnings
from collections.abc import Mapping

import keras

from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.flows import FLOWS
from keras_shapley_prune.layer_types.layer_type import LayerType


def register_layer(
    layer_class, flow=None, size=None, weights=None, unfit=None, *, like=None
):
    """Tells the pruner what it has to know about a layer type.

    There are three ways to say it:

    - `register_layer(cls, flow=..., weights=...)`, the short form, is enough to mask a
      layer and to cut it. It does not say what the layer computes, so `repair` does
      not refit it; a warning says so if it mixes channels or has kernels. Its FLOPs
      are those of the kernels, each used once for each position of the output (in a
      subclass of a known layer, for each position where that one applies its own).
      Kernels are weights with an axis of input and one of output channels, those with
      more than one axis where `flow="expand"`, and those whose name ends in "kernel".
    - `register_layer(cls, like=other)`: the layer computes what another one does.
    - `register_layer(cls, MyType())`, an instance of a subclass of `LayerType`, says
      everything, masked forms, repair and FLOPs too.

    It holds for the class, and for subclasses that override nothing but how a layer is
    made, saved or printed. Any other subclass may compute something else.

    A layer that is not registered is tried, so one that keeps its channels apart need
    not be. To have one locked, register it with an `unfit` that returns why.

    Args:
        layer_class: A `keras.Layer` class.
        flow: A `LayerType`, which says everything, or for the short form a string:
            `"mix"` (every output channel reads all input channels), `"keep"` (channel
            for channel), `"expand"` (`depth_multiplier` outputs an input), `"join"`,
            `"concatenate"`, `"reshape"`, or a callable `fn(call, channels)`, see
            `LayerType.flow`.
        size: String, the config entry with the number of output channels, such as
            `"filters"`. `None` if Keras infers it from the input.
        weights: Dict: weight name -> one letter an axis, aligned to the right:
            `"i"` input channels, `"o"` output channels, `"."` neither.
        unfit: Callable `fn(call)` that returns a reason (a string) where a call of
            this type cannot be pruned exactly, else `None`.
        like: A `keras.Layer` class that is registered. What is known of it holds for
            `layer_class` too.

    Raises:
        ValueError: If an argument is not of that form, or if two of the three ways
            are used at once.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class ChannelScale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, inputs):
            return inputs * self.scale


    @keras.saving.register_keras_serializable()
    class NamedFilter(keras.layers.DepthwiseConv2D):
        "Computes what its parent computes."


    keras_shapley_prune.register_layer(
        ChannelScale, flow="keep", weights={"scale": "i"}
    )
    keras_shapley_prune.register_layer(NamedFilter, like=keras.layers.DepthwiseConv2D)
    ```
    """
    _check_class("layer_class", layer_class)
    if like is not None:
        _check_alone("like", like, flow=flow, size=size, weights=weights, unfit=unfit)
        layer_type = _find_known(like)
    elif isinstance(flow, LayerType):
        _check_alone("flow", flow, size=size, weights=weights, unfit=unfit)
        if type(flow).flow is LayerType.flow:
            raise ValueError(
                "Argument `flow` should be an instance of a `LayerType` subclass that "
                f"overrides its method `flow`. Received: flow={flow!r}"
            )
        layer_type = flow
    else:
        _check_short_form(flow, size, weights, unfit)
        types = registry.LAYER_TYPES
        # What its own declaration leaves open is taken from the nearest known parent,
        # such as at how many positions a kernel is applied.
        known = [types[c] for c in layer_class.__mro__ if c in types]
        flow = FLOWS[flow] if isinstance(flow, str) else flow
        layer_type = DeclaredType(flow, size, weights, unfit, *known[:1])
        if layer_type.is_vague:
            _warn_of_vagueness(layer_class)
    registry.LAYER_TYPES[layer_class] = layer_type


def _check_class(name, value):
    if not (isinstance(value, type) and issubclass(value, keras.Layer)):
        raise ValueError(
            f"Argument `{name}` should be a subclass of `keras.Layer`. "
            f"Received: {name}={value!r}"
        )


def _warn_of_vagueness(layer_class):
    """Says that the short form leaves open what a layer computes."""
    warnings.warn(
        f"{layer_class.__name__} is registered without what it computes: repair will "
        "not refit it, and its FLOPs are those of its kernels, each used once for each "
        "position of the output. To change that, give `register_layer` a `LayerType` "
        "with a `linear_form`, or by `like=` a layer that computes the same",
        stacklevel=3,
    )


def _find_known(like):
    """Returns the `LayerType` of a class that a new one is to be like."""
    _check_class("like", like)
    if like not in registry.LAYER_TYPES:
        raise ValueError(
            "Argument `like` should be a layer class that is registered. "
            f"Received: like={like!r}"
        )
    return registry.LAYER_TYPES[like]


def _check_alone(name, value, **others):
    """Raises an error if what says everything is given with a part of it."""
    given = ", ".join(f"{k}={v!r}" for k, v in others.items() if v is not None)
    if given:
        raise ValueError(
            f"Argument `{name}`, where it says everything, should be given without "
            f"{', '.join(f'`{k}`' for k in others)}. "
            f"Received: {name}={value!r}, {given}"
        )


def _check_short_form(flow, size, weights, unfit):
    if not callable(flow) and not (isinstance(flow, str) and flow in FLOWS):
        raise ValueError(
            "Argument `flow` should be an instance of a `LayerType` subclass, a "
            f"callable or one of {sorted(FLOWS)}. Received: flow={flow!r}"
        )
    if isinstance(flow, type):
        raise ValueError(
            "Argument `flow` should be an instance of a `LayerType` subclass, not the "
            f"class. Received: flow={flow!r}"
        )
    if size is not None and not isinstance(size, str):
        raise ValueError(
            "Argument `size` should be the name of an entry of the layer's config. "
            f"Received: size={size!r}"
        )
    if unfit is not None and not callable(unfit):
        raise ValueError(
            "Argument `unfit` should be a callable `fn(call)`. "
            f"Received: unfit={unfit!r}"
        )
    weights = {} if weights is None else weights
    if not isinstance(weights, Mapping):
        raise ValueError(
            "Argument `weights` should be a dict: weight name -> letters of its axes. "
            f"Received: weights={weights!r}"
        )
    for name, axes in weights.items():
        named = isinstance(name, str) and isinstance(axes, str)
        if not named or set(axes) - set(".io"):
            raise ValueError(
                "Argument `weights` should map names to strings of the letters "
                f"'.', 'i' and 'o'. Received: {name!r}: {axes!r}"
            )
