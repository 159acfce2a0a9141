"""What the layers and activations of Keras 3 are in tf_keras (Keras 2)."""

import inspect

import keras

_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
_FOR_TRAINING_ONLY = ("seed", "use_cudnn")  # no loss where tf_keras lacks them
_ACTIVATIONS = {"silu": "swish"}


def copy_layer(tf_keras, layer, name):
    """Re-creates a Keras 3 layer in tf_keras, without its weights.

    Args:
        tf_keras: The module `tf_keras`.
        layer: A `keras.Layer`.
        name: String, the name of the copy.

    Returns:
        Tuple of the `tf_keras` layer and the activation that has to follow it: a
        string of `apply_activation`, a Keras 3 layer, or `None`.

    Raises:
        ValueError: If tf_keras has no such layer, or not with these settings.
    """
    kind = type(layer).__name__
    copied_type = getattr(tf_keras.layers, kind, None)
    # A user's class of the same name may compute something else.
    if type(layer) is not getattr(keras.layers, kind, None) or copied_type is None:
        raise no_equal(layer, "its type is not among those of `tf_keras.layers`")
    if kind == "Lambda":
        raise no_equal(layer, "its function may be of Keras 3")
    config, tail = {}, None
    for key, value in layer.get_config().items():
        # Weights and flags are copied later, name and dtype are given below.
        if key.endswith("initializer") or key in ("name", "dtype", "trainable"):
            continue
        key = _RENAMED.get(kind, {}).get(key, key)
        if key not in _settings_of(copied_type):
            _check_droppable(layer, key, value)
        elif key == "activation":
            value, tail = _split_activation(tf_keras, layer)
            config[key] = value
        else:
            config[key] = _translate(tf_keras, layer, key, value)
    policy = layer.dtype_policy.name
    return copied_type(**config, name=name, dtype=policy), tail


def apply_activation(tf_keras, activation, inputs, make_name):
    """Applies an activation that tf_keras does not have, made of layers it has.

    Args:
        tf_keras: The module `tf_keras`.
        activation: `"relu6"`, `"hard_sigmoid"` (that of tf_keras has another slope)
            or `"hard_silu"`.
        inputs: A symbolic tensor of tf_keras.
        make_name: Callable `fn(ending)` that returns the name of a new layer.

    Returns:
        A symbolic tensor of tf_keras.
    """
    layers = tf_keras.layers
    if activation == "relu6":
        return layers.ReLU(6.0, name=make_name("relu6"))(inputs)
    # In Keras 3, hard_sigmoid(x) = clip(x / 6 + 1 / 2, 0, 1), and hard_silu(x) is x
    # times that.
    gate = layers.Rescaling(1 / 6, 0.5, name=make_name("line"))(inputs)
    gate = layers.ReLU(1.0, name=make_name("clip"))(gate)
    if activation == "hard_sigmoid":
        return gate
    return layers.Multiply(name=make_name("gate"))([inputs, gate])


SPELLED_OUT = ("relu6", "hard_sigmoid", "hard_silu")


def no_equal(operation, why):
    """Returns the error for what tf_keras does not have.

    Args:
        operation: A layer or another `keras.Operation`.
        why: String, what is missing.
    """
    return ValueError(
        "Argument `model` should consist of layers that tf_keras has too. Received: "
        f"{operation.name!r} (of type {type(operation).__name__}); {why}"
    )


def _settings_of(layer_type):
    # Arguments that a class passes on as `**kwargs` stand in the signatures of its
    # parents. (`zero_output_for_mask` stands in none.)
    parents = [parent for parent in layer_type.__mro__ if parent is not object]
    names = {
        name
        for parent in parents
        for name in inspect.signature(parent.__init__).parameters
    }
    return names | {"zero_output_for_mask"} if "recurrent_dropout" in names else names


def _check_droppable(layer, key, value):
    """Raises an error if a setting that tf_keras does not know makes a difference."""
    parameter = inspect.signature(type(layer).__init__).parameters.get(key)
    default = None if parameter is None else parameter.default
    # At its default a setting changes nothing.
    if key in _FOR_TRAINING_ONLY or value is None or value == default:
        return
    if parameter is None and value is False:  # a switch that is off
        return
    if key == "data_format" and value == "channels_last":
        return
    raise no_equal(layer, f"tf_keras does not know its setting {key}={value!r}")


def _split_activation(tf_keras, layer):
    """Returns the activation of a layer's copy, and what has to follow the copy."""
    activation = layer.activation
    if isinstance(activation, keras.Layer):
        return "linear", activation
    name = getattr(activation, "__name__", None)
    if activation is not getattr(keras.activations, str(name), None):
        raise no_equal(layer, f"its activation is {activation!r}")
    name = _ACTIVATIONS.get(name, name)
    if name in SPELLED_OUT:
        # It acts within a loop, where no layer can follow.
        if hasattr(layer, "recurrent_activation"):
            raise no_equal(layer, f"in tf_keras, activation {name!r} is another one")
        return "linear", name
    return _known_activation(tf_keras, layer, name), None


def _known_activation(tf_keras, layer, name):
    try:
        tf_keras.activations.get(name)
    except ValueError:
        raise no_equal(layer, f"tf_keras has no activation {name!r}") from None
    return name


def _translate(tf_keras, layer, key, value):
    """Returns a setting of a layer as tf_keras takes it."""
    if key in ("layer", "backward_layer"):
        return _copy_wrapped(tf_keras, layer, key)
    if key == "recurrent_activation":
        if value in SPELLED_OUT:
            raise no_equal(layer, f"in tf_keras, activation {value!r} is another one")
        return _known_activation(tf_keras, layer, value)
    for ending, module in (
        ("regularizer", tf_keras.regularizers),
        ("constraint", tf_keras.constraints),
    ):
        if key.endswith(ending) and value is not None:
            made = getattr(module, value["class_name"], None)
            if made is None:
                raise no_equal(layer, f"tf_keras has no {ending} for {key}={value}")
            return made(**value["config"])
    if isinstance(value, dict) and "class_name" in value:
        raise no_equal(layer, f"its setting {key!r} is an object")
    return value


def _copy_wrapped(tf_keras, wrapper, key):
    """Copies a layer that another one wraps, as it was given to it."""
    wrapped = getattr(wrapper, "forward_layer", None) or wrapper.layer
    if key == "backward_layer":
        wrapped = wrapper.backward_layer
    # `Bidirectional` has put these before the name, and will do so again.
    prefixes = ("forward_", "backward_")
    name = wrapped.name
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    copied, tail = copy_layer(tf_keras, wrapped, name)
    if tail is not None:
        raise no_equal(wrapper, f"{wrapped.name!r} in it has an activation {tail!r}")
    return copied
