"""Activation functions: which act on every channel by itself, and which are ReLUs."""

import functools
import math

import keras
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.trial.functions import try_function

ELEMENTWISE_NAMES = """celu elu exponential gelu hard_shrink hard_sigmoid hard_silu
    hard_swish hard_tanh leaky_relu linear log_sigmoid mish relu relu6 selu sigmoid silu
    soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus swish tanh
    tanh_shrink threshold""".split()
_MODULES = keras.activations, keras.ops, tf.nn, tf.math
# Functions of each number by itself: those by these names, and what users have said.
ELEMENTWISE = {
    getattr(module, name)
    for module in _MODULES
    for name in ELEMENTWISE_NAMES
    if hasattr(module, name)
}
# Functions along the last axis.
_ALONG_LAST = {
    getattr(module, name)
    for module in (keras.activations, keras.ops, tf.nn)
    for name in ("log_softmax", "softmax", "sparsemax")
    if hasattr(module, name)
}
_ARGUMENTS = "activation", "recurrent_activation"
_CEILINGS = {
    getattr(module, name): ceiling
    for module in (keras.activations, keras.ops, tf.nn)
    for name, ceiling in (("relu", math.inf), ("relu6", 6.0))
}


def register_elementwise(function):
    """Tells the pruner that a function makes each number of that number alone.

    Used as an activation, or by a `Lambda` layer, it then keeps channels apart. A
    function that is not registered is run on random numbers to find that out, so few
    have to be: those that a trial cannot run, or that should not be tried.

    Args:
        function: Callable `fn(tensor)`, the very object that layers are given. It may
            not hold an array with an entry for each channel, which nothing would cut.

    Raises:
        ValueError: If `function` is not a function, such as a layer or a class.

    Example:

    ```python
    def bent(x):
        return x + keras.ops.sin(x)


    keras_shapley_prune.register_elementwise(bent)
    layer = keras.layers.Conv2D(16, 3, activation=bent)
    ```
    """
    wrong = isinstance(function, (type, keras.Operation)) or not callable(function)
    if wrong or getattr(function, "__hash__", None) is None:
        raise ValueError(
            "Argument `function` should be a function of one tensor; layers are given "
            f"to `register_layer`. Received: function={function!r}"
        )
    ELEMENTWISE.add(function)


def describe_mixing(operation, shape):
    """Returns why an activation of an operation is not elementwise, or `None`.

    Args:
        operation: The layer or raw operation.
        shape: Tuple, the shape of what the activation reads.

    Returns:
        String, such as `"activation softmax is not elementwise: output channel 3
        changed when only input channel 5 did"`, or `None`.
    """
    dtype = getattr(operation, "compute_dtype", None) or "float32"
    if not keras.backend.is_float_dtype(dtype):
        dtype = "float32"
    for name, activation in _find_activations(operation).items():
        fault = find_mixing(activation, shape, dtype)
        if fault is not None:
            kind = name.replace("_", " ")
            return f"{kind} {name_of(activation)} is not elementwise: {fault}"
    return None


def find_mixing(activation, shape, dtype="float32"):
    """Returns why an activation is not elementwise, or `None` if it is.

    Args:
        activation: A function, a layer, or `None`.
        shape: Tuple, the shape of what it reads.
        dtype: String, the type of what it reads.
    """
    if is_declared(activation):
        return None
    # A layer as an activation may have one itself.
    inner = _find_inner(activation)
    return try_function(inner or activation, shape, dtype)


def is_declared(activation):
    """Returns whether an activation is known to be elementwise, without a trial.

    Args:
        activation: A function, a layer, or `None`.
    """
    if activation is None or _look_up(activation, ELEMENTWISE):
        return True
    if not isinstance(activation, keras.Layer):
        return False
    layer_type = find_layer_type(activation)
    known = layer_type is not None and layer_type.is_elementwise(activation)
    return known and is_declared(_find_inner(activation))


def find_along_positions(operation):
    """Returns the name of an activation that may mix other axes than the last.

    `None` if there is none: softmax, and what is known to be elementwise, do not.

    Args:
        operation: The layer or raw operation.
    """
    for activation in activations_of(operation):
        if not (is_declared(activation) or _look_up(activation, _ALONG_LAST)):
            return name_of(activation)
    return None


def activations_of(operation):
    """Returns the activations of a layer, those that are not `None`."""
    return list(_find_activations(operation).values())


def _find_activations(operation):
    """Returns a dict: attribute of an operation -> the function or layer it holds."""
    found = {name: getattr(operation, name, None) for name in _ARGUMENTS}
    for name, value in found.items():
        if isinstance(value, str):  # as a layer of a user's own may keep it
            found[name] = getattr(keras.activations, value, None)
    return {name: value for name, value in found.items() if callable(value)}


def name_of(activation):
    """Returns what to call an activation, a string."""
    if isinstance(activation, functools.partial):
        return name_of(activation.func)
    return getattr(activation, "__name__", str(activation))


def find_ceiling(activation):
    """Returns the most that a ReLU returns, `None` of what is not one.

    Args:
        activation: A function, or a layer or raw operation that applies one.

    Returns:
        Float, see `LayerType.relu_ceiling`, or `None`.
    """
    if not isinstance(activation, keras.Operation):
        return _look_up(activation, _CEILINGS)
    layer_type = find_layer_type(activation)
    return None if layer_type is None else layer_type.relu_ceiling(activation)


def _find_inner(activation):
    """Returns the activation of a layer that is used as one and does nothing else."""
    if not isinstance(activation, keras.Layer):
        return None
    layer_type = find_layer_type(activation)
    if layer_type is None or not layer_type.is_elementwise(activation):
        return None
    return getattr(activation, "activation", None)


def _look_up(activation, known):
    """Returns what is known of a function; not every callable can be looked up."""
    try:
        found = activation in known
    except TypeError:
        return None
    return (known[activation] if isinstance(known, dict) else True) if found else None
