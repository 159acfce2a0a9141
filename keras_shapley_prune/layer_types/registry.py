"""The registry: what pruning knows of each layer type."""

import dataclasses
from collections.abc import Callable, Mapping

import keras

from keras_shapley_prune.layer_types.flows import FLOWS

GATES = "g"  # the letter of the gates of hidden units


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """How channels pass one type of operation.

    Attributes:
        flow: Callable `fn(call, channels)` that returns the unit ids of the output's
            last axis, or a list of such arrays, one an output. `channels` is the
            `ChannelTracer` at work.
        size: The config entry that counts the output channels (a string), or a
            callable `fn(config, kept)` that changes the config in place, where
            `kept` is a dict: letter -> boolean array, or `None`.
        arguments: Callable `fn(args, kwargs, kept)` that returns what the smaller
            operation is to be called with, or `None` if that does not depend on the
            number of channels.
        weights: Dict: weight name -> one letter an axis, aligned to the right.
            `"i"` is the input's channels, `"o"` the output's, `"."` an axis that is
            left alone. Where a name does not tell the axes, as in a layer made of
            layers: callable `fn(operation)` that returns such a dict, or pairs
            `(weight, letters)`.
        letters: Callable `fn(call, ids)` that returns a dict of other letters ->
            unit ids, such as `GATES`. `ids` is the dict of `"i"` and `"o"`, and of
            those that the flow has named.
        unfit: Callable `fn(call)` that returns why this very call cannot be pruned
            exactly (a string), or `None` if it can.
        linear_form: Callable `fn(operation)` that returns the `LinearForm` of a layer
            that is linear up to its activation, or `None`.
        projection: Callable `fn(call, position)` that returns what an input is
            multiplied with where there is no linear form for it, a float array of
            shape `(channels, columns)`. `None` if it is not.
        masked: Callable `fn(operation, masks, *args, **kwargs)` that returns what the
            operation computes of its arguments without some channels; `masks` is a
            dict: input position, or `INSIDE` -> `Mask`, and what is read has been
            multiplied by its mask already. `None` if that is enough.
        products: Callable `fn(call)` that returns what is multiplied for one example,
            a list of `(letters, shape, how many times)`. `None` if that is every
            kernel, once for each position of the output.
    """

    flow: Callable
    size: str | Callable | None = None
    arguments: Callable | None = None
    weights: Mapping[str, str] | Callable = dataclasses.field(default_factory=dict)
    letters: Callable = lambda call, ids: {}
    unfit: Callable = lambda call: None
    linear_form: Callable = lambda operation: None
    projection: Callable | None = None
    masked: Callable | None = None
    products: Callable | None = None


SPECS = {}  # layer class -> LayerSpec
OPERATION_SPECS = {}  # name of a raw `keras.ops` operation -> LayerSpec


def register_layer(layer_class, flow, size=None, weights=None, unfit=None):
    """Tells the pruner how channels pass a layer type.

    Only the very class is matched, never its subclasses: a subclass may compute
    something else.

    Args:
        layer_class: A `keras.Layer` class.
        flow: String, one of `"mix"` (every output channel reads all input channels),
            `"keep"` (channel for channel), `"expand"` (`depth_multiplier` outputs an
            input), `"join"`, `"concatenate"`, `"reshape"`, or a callable
            `fn(call, channels)` that returns the unit ids of the output's last axis.
        size: String, the config entry with the number of output channels, such as
            `"filters"`. `None` if Keras infers it from the input.
        weights: Dict: weight name -> one letter an axis, aligned to the right:
            `"i"` input channels, `"o"` output channels, `"."` neither.
        unfit: Callable `fn(call)` that returns a reason (a string) where a call of
            this type cannot be pruned exactly, else `None`.

    Raises:
        ValueError: If an argument is not of that form.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class ChannelScale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, inputs):
            return inputs * self.scale

    keras_shapley_prune.register_layer(
        ChannelScale, flow="keep", weights={"scale": "i"}
    )
    ```
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.Layer)):
        raise ValueError(
            "Argument `layer_class` should be a subclass of `keras.Layer`. "
            f"Received: layer_class={layer_class!r}"
        )
    if not callable(flow) and flow not in FLOWS:
        raise ValueError(
            f"Argument `flow` should be a callable or one of {sorted(FLOWS)}. "
            f"Received: flow={flow!r}"
        )
    for name, axes in (weights or {}).items():
        if not isinstance(axes, str) or set(axes) - set(".io"):
            raise ValueError(
                "Argument `weights` should map names to strings of the letters "
                f"'.', 'i' and 'o'. Received: {name!r}: {axes!r}"
            )
    spec = LayerSpec(flow=FLOWS.get(flow, flow), size=size, weights=weights or {})
    if unfit is not None:
        spec = dataclasses.replace(spec, unfit=unfit)
    SPECS[layer_class] = spec


def find_spec(operation):
    """Returns the `LayerSpec` of a layer or raw operation, or `None`."""
    kind = type(operation)
    if kind.__module__.startswith("keras.src.ops."):
        return OPERATION_SPECS.get(kind.__name__)
    return SPECS.get(kind)


def find_letters(operation, weight):
    """Returns the letters of a weight's axes, or `None` if it is not known."""
    spec = find_spec(operation)
    weights = {} if spec is None else spec.weights
    found = weights(operation) if callable(weights) else weights
    if isinstance(found, Mapping):
        return found.get(weight.name)
    return next((letters for known, letters in found if known is weight), None)


def find_obstacle(call):
    """Returns why a call cannot be pruned exactly, or `None` if it can."""
    operation = call.operation
    spec = find_spec(operation)
    kind = type(operation).__name__
    if spec is None:
        return f"{kind} is not a registered layer"
    if _data_format(operation) == "channels_first":
        return _describe_channels_first(kind)
    weights = getattr(operation, "weights", ())
    unknown = {v.name for v in weights if find_letters(operation, v) is None}
    if unknown:
        return f"{kind} has unknown weights {sorted(unknown)}"
    unfit = spec.unfit(call)
    return unfit and f"{kind} {unfit}"


def find_linear_form(operation):
    """Returns the `LinearForm` of a layer that mixes channels, or `None`."""
    spec = find_spec(operation)
    if spec is None or _data_format(operation) == "channels_first":
        return None
    return spec.linear_form(operation)


def _describe_channels_first(kind):
    reason = f"{kind} has data_format='channels_first'; only the last axis is followed"
    if keras.config.image_data_format() != "channels_first":
        return reason
    return f"{reason}, keras.config.image_data_format() is another"


def _data_format(operation):
    """Returns the data format; raw operations may leave it to Keras's setting."""
    data_format = getattr(operation, "data_format", "channels_last")
    return data_format or keras.config.image_data_format()
