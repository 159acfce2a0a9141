"""What to know of single layers of Keras where a model is made anew of its parts.

Here subclasses count too: a user's `Lambda` or `Normalization` is made as Keras's is,
whatever is registered of its channels.
"""

import collections
import contextlib
import copy
import inspect
import warnings

import keras
import numpy as np
from keras import layers
from keras.src.ops.numpy import Reshape

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.trial.quiet_runs import no_side_effects


def read_config(layer):
    """Returns the config of a layer, functions in it as themselves.

    So a layer with a lambda, or with a function that Keras cannot serialize, can be
    re-created too.

    Args:
        layer: The layer.
    """
    try:
        config = serialize_config(layer)
    except Exception:  # such as of a `functools.partial`
        config = _read_without_functions(layer)
    config = {name: _without_weight(value) for name, value in config.items()}
    # A layer keeps the function itself as an attribute of the entry's name. A method
    # of that name is none: what it returns is in the config.
    for name in config:
        is_method = inspect.isroutine(getattr(type(layer), name, None))
        value = None if is_method else getattr(layer, name, None)
        if not isinstance(value, keras.Layer):
            config[name] = value if callable(value) else config[name]
        elif _holds_config(config[name]) and not isinstance(value, layers.Lambda):
            config[name] = {**config[name], "config": read_config(value)}
    if isinstance(layer, layers.Lambda):
        config["arguments"] = layer.arguments
        config["output_shape"] = layer._output_shape
    return config


def calls_a_function(layer):
    """Returns whether a layer is Keras's own that calls a function of a user's."""
    return type(layer) is layers.Lambda


def _without_weight(value):
    """Returns an entry of a config, the number of a weight that has taken its place.

    A copy would count the weight among its own, beside the one that it makes.
    """
    if not isinstance(value, keras.Variable):
        return value
    array = keras.ops.convert_to_numpy(value)
    return array.item() if array.size == 1 else array


def serialize_config(layer):
    """Returns the config of a layer, without the warning that a lambda is unsafe.

    Args:
        layer: A layer or raw operation.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The object being serialized")
        return layer.get_config()


def _read_without_functions(layer):
    """Returns the config of a layer as if its functions were one that Keras knows."""
    functions = [
        (owner, name, value)
        for owner in layer._flatten_layers()  # also in the layers within
        for name, value in vars(owner).items()
        if callable(value)
        and not hasattr(type(owner), name)  # a method that Keras wraps
        and not type(value).__module__.startswith("keras.")
    ]
    # Not by `setattr`, which Keras watches.
    for owner, name, _ in functions:
        vars(owner)[name] = keras.activations.linear
    try:
        return serialize_config(layer)
    finally:
        for owner, name, value in functions:
            vars(owner)[name] = value


def _holds_config(entry):
    """Returns whether an entry of a config is a layer, as Keras serializes it."""
    return isinstance(entry, dict) and isinstance(entry.get("config"), dict)


def recreate_layer(layer, config):
    """Returns a layer of the same class from a config.

    Args:
        layer: The original.
        config: Dict, its config as `read_config` returns it.
    """
    # The from_config of a `Lambda` refuses functions.
    if isinstance(layer, layers.Lambda):
        return type(layer)(**config)
    return type(layer).from_config(config)


def find_lost_setting(layer, layer_type):
    """Returns why a layer of a subclass cannot be made in another size, or `None`.

    A constructor of its own may not take a size, or may change the one that it takes.

    Args:
        layer: The layer.
        layer_type: Its `LayerType`.
    """
    config = read_config(layer)
    try:
        with no_side_effects(layer):
            again = read_config(recreate_layer(layer, dict(config)))
    except Exception as error:
        return f"cannot be made anew from its config: {first_line(error)}"
    changed = [
        k for k, v in config.items() if _is_plain(v) and repr(v) != repr(again.get(k))
    ]
    if changed:
        return f"has another {changed[0]!r} when it is made anew from its config"
    resized = copy.deepcopy({k: v for k, v in config.items() if not callable(v)})
    # Which entries are sizes shows when they are set, to whatever it be.
    with contextlib.suppress(Exception):
        layer_type.resize(resized, collections.defaultdict(lambda: np.ones(1, bool)))
    missing = sorted(set(resized) - set(config))
    return f"has no {missing[0]!r} in its config" if missing else None


def _is_plain(value):
    return isinstance(value, (bool, int, float, str, tuple, list, type(None)))


def find_applied_function(layer):
    """Returns the function of a layer that does nothing but to call one, or `None`.

    Args:
        layer: A layer or raw operation.
    """
    plain = calls_a_function(layer) and layer._output_shape is None
    return layer.function if plain and not layer.arguments else None


def finalize_weights(layer):
    """Lets a preprocessing layer compute with the weights it has now."""
    if isinstance(layer, layers.Normalization) and layer.weights:
        layer.finalize_state()


def free_unknown_length(operation):
    """Returns a raw reshaping with -1 for a length that is not known when traced.

    Any other operation is returned as it is.
    """
    if type(operation) is not Reshape:
        return operation
    shape = operation.newshape
    if list(shape).count(None) != 1 or -1 in shape:
        return operation
    return Reshape([-1 if length is None else length for length in shape])


def renew_identity(operation):
    """Returns an `Identity` that has a config: one made with a policy has none.

    Any other operation is returned as it is.
    """
    if type(operation) is not layers.Identity:
        return operation
    try:
        operation.get_config()
    except NotImplementedError:
        return layers.Identity()
    return operation


def pass_on(tensor):
    """Returns a symbolic tensor as a layer returns it that changes nothing."""
    return layers.Identity()(tensor)


def apply_activation(activation, tensor):
    """Returns a symbolic tensor as a layer of its own makes it by an activation."""
    return layers.Activation(activation, dtype=tensor.dtype)(tensor)


def tell_apart(operation):
    """Returns whether it makes a difference which one of its kind an operation is.

    It does for layers, which have weights and settings of their own.
    """
    is_layer = isinstance(operation, keras.Layer)
    return is_layer and type(operation) is not layers.Identity


def swap_axes(tensor, axes, name):
    """Returns a symbolic tensor, its axes in another order.

    Args:
        tensor: The symbolic tensor.
        axes: Sequence of integers, which axis of it each axis will be. The first has to
            be the first.
        name: String, the name of the layer that does it.
    """
    # Of the tensor's own type, whatever Keras's setting is.
    return layers.Permute(axes[1:], name=name, dtype=tensor.dtype)(tensor)
