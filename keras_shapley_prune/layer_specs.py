"""What pruning has to know of each layer type: the only file that names them."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_shapley_prune.flows import FLOWS, concatenate, join, keep, reduce
from keras_shapley_prune.linear_forms import (
    ConvolutionForm,
    DenseForm,
    SeparableForm,
    TransposedForm,
)


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """How channels pass one type of operation.

    Attributes:
        flow: Callable `fn(call, channels)` that returns the unit ids of the output's
            last axis. `channels` is the `ChannelTracer` at work.
        size: The config entry that counts the output channels (a string), or a
            callable `fn(config, size)` that changes the config in place, or `None`.
        weights: Dict: weight name -> one letter an axis, aligned to the right.
            `"i"` is the input's channels, `"o"` the output's, `"m"` the input's
            times `depth_multiplier`, `"."` an axis that is left alone.
        unfit: Callable `fn(call)` that returns why this very call cannot be pruned
            exactly (a string), or `None` if it can.
    """

    flow: Callable
    size: str | Callable | None = None
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unfit: Callable = lambda call: None


# --- reasons for which a call of a known type is left alone ------------------------


def _grouped(call):
    groups = getattr(call.operation, "groups", 1)
    return f"has groups={groups}" if groups != 1 else None


def _axis_not_last(call):
    axis, rank = call.operation.axis, len(call.inputs[0].shape)
    return None if axis in (-1, rank - 1) else f"normalizes axis {axis}"


def _constant_arrays(*names):
    """Returns the check that attributes of an operation are plain numbers."""

    def unfit(call):
        values = [getattr(call.operation, name) for name in names]
        return "has an array of constants" if any(map(np.ndim, values)) else None

    return unfit


def _noise_of_channels(call):
    shape = call.operation.noise_shape
    return None if shape is None or shape[-1] in (None, 1) else "has a noise_shape"


def _shared_channel_axis(call):
    alpha, shape = call.operation.alpha, call.inputs[0].shape
    return None if alpha.shape[-1] == shape[-1] else "shares alpha over the channels"


def find_obstacle(call):
    """Returns why a call cannot be pruned exactly, or `None` if it can."""
    operation = call.operation
    spec = find_spec(operation)
    kind = type(operation).__name__
    if spec is None:
        return f"{kind} is not a registered layer"
    if getattr(operation, "data_format", None) == "channels_first":
        return f"{kind} has data_format='channels_first'"
    unknown = {v.name for v in getattr(operation, "weights", ())} - set(spec.weights)
    if unknown:
        return f"{kind} has unknown weights {sorted(unknown)}"
    unfit = spec.unfit(call)
    return unfit and f"{kind} {unfit}"


# --- activations -------------------------------------------------------------------

_ELEMENTWISE_NAMES = """celu elu exponential gelu hard_shrink hard_sigmoid hard_silu
    hard_tanh leaky_relu linear log_sigmoid mish relu relu6 selu sigmoid silu
    soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus tanh
    tanh_shrink threshold""".split()
_ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in _ELEMENTWISE_NAMES
    if hasattr(keras.activations, name)
}


def find_mixing_activation(operation):
    """Returns the name of an activation that may mix channels, or `None`.

    Activation functions outside the known elementwise ones, such as softmax or a
    function of the user's, may make each channel depend on the others.
    """
    activation = getattr(operation, "activation", None)
    if activation is None or activation in _ELEMENTWISE:
        return None
    if isinstance(activation, keras.Layer):
        spec = find_spec(activation)
        if spec is not None and spec.flow is keep and not spec.weights:
            return find_mixing_activation(activation)
    return getattr(activation, "__name__", str(activation))


# --- the registry ------------------------------------------------------------------

_SPECS = {}
_OPERATION_SPECS = {}


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

    register_layer(ChannelScale, flow="keep", weights={"scale": "i"})
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
        if not isinstance(axes, str) or set(axes) - set(".iom"):
            raise ValueError(
                "Argument `weights` should map names to strings of the letters "
                f"'.', 'i', 'o' and 'm'. Received: {name!r}: {axes!r}"
            )
    spec = LayerSpec(flow=FLOWS.get(flow, flow), size=size, weights=weights or {})
    if unfit is not None:
        spec = dataclasses.replace(spec, unfit=unfit)
    _SPECS[layer_class] = spec


def find_spec(operation):
    """Returns the `LayerSpec` of a layer or raw operation, or `None`."""
    kind = type(operation)
    if kind.__module__.startswith("keras.src.ops."):
        return _OPERATION_SPECS.get(kind.__name__)
    return _SPECS.get(kind)


_LINEAR_FORMS = {
    keras.layers.Dense: DenseForm,
    keras.layers.Conv2D: ConvolutionForm,
    keras.layers.Conv2DTranspose: TransposedForm,
    keras.layers.SeparableConv2D: SeparableForm,
}


def find_linear_form(operation):
    """Returns the `LinearForm` of a layer that mixes channels, or `None`."""
    form = _LINEAR_FORMS.get(type(operation))
    last = getattr(operation, "data_format", None) != "channels_first"
    plain = last and getattr(operation, "groups", 1) == 1
    return form(operation) if form and plain else None


def _resize_target(config, size):
    *leading, last = config["target_shape"]
    config["target_shape"] = (*leading, last if last == -1 else size)


def _register_stock_layers():
    layers = keras.layers
    convolution = {"kernel": "..io", "bias": "o"}
    normalization = dict.fromkeys(
        ("gamma", "beta", "moving_mean", "moving_variance"), "i"
    )
    register_layer(layers.Conv2D, "mix", "filters", convolution, _grouped)
    register_layer(layers.Dense, "mix", "units", {"kernel": "io", "bias": "o"})
    transposed = {"kernel": "..oi", "bias": "o"}
    register_layer(layers.Conv2DTranspose, "mix", "filters", transposed)
    depthwise = {"kernel": "..i.", "bias": "o"}
    register_layer(layers.DepthwiseConv2D, "expand", None, depthwise)
    separable = {"depthwise_kernel": "..i.", "pointwise_kernel": "..mo", "bias": "o"}
    register_layer(layers.SeparableConv2D, "mix", "filters", separable)
    register_layer(
        layers.BatchNormalization, "keep", None, normalization, _axis_not_last
    )
    register_layer(layers.PReLU, "keep", None, {"alpha": "i"}, _shared_channel_axis)
    constants = _constant_arrays("scale", "offset")
    register_layer(layers.Rescaling, "keep", unfit=constants)
    register_layer(layers.Dropout, "keep", unfit=_noise_of_channels)
    for name in """Activation ReLU LeakyReLU ELU Identity SpatialDropout2D
            GaussianDropout GaussianNoise ActivityRegularization MaxPooling2D
            AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D ZeroPadding2D
            Cropping2D UpSampling2D""".split():
        register_layer(getattr(layers, name), "keep")
    for name in "Add Subtract Multiply Average Maximum Minimum".split():
        register_layer(getattr(layers, name), "join")
    register_layer(layers.Concatenate, "concatenate")
    register_layer(layers.Flatten, "reshape")
    register_layer(layers.Reshape, "reshape", _resize_target)


def _register_raw_operations():
    for name in "Add Subtract Multiply Divide TrueDivide Maximum Minimum".split():
        _OPERATION_SPECS[name] = LayerSpec(flow=join)
    for (
        name
    ) in """Absolute Negative Square Sqrt Exp Relu Relu6 LeakyRelu Elu Selu Gelu Silu
            Sigmoid HardSigmoid HardSilu Tanh Softplus Softsign Cast""".split():
        _OPERATION_SPECS[name] = LayerSpec(flow=keep)
    limits = _constant_arrays("x_min", "x_max")
    _OPERATION_SPECS["Clip"] = LayerSpec(flow=keep, unfit=limits)
    for name in "Mean Sum Max Min".split():
        _OPERATION_SPECS[name] = LayerSpec(flow=reduce)
    _OPERATION_SPECS["Concatenate"] = LayerSpec(flow=concatenate)


_register_stock_layers()
_register_raw_operations()
