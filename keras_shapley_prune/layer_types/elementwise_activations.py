"""Activation functions: which act on every channel by itself, and which are ReLUs."""

import math

import keras

from keras_shapley_prune.layer_types.registry import find_layer_type

ELEMENTWISE_NAMES = """celu elu exponential gelu hard_shrink hard_sigmoid hard_silu
    hard_tanh leaky_relu linear log_sigmoid mish relu relu6 selu sigmoid silu
    soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus tanh
    tanh_shrink threshold""".split()
ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in ELEMENTWISE_NAMES
    if hasattr(keras.activations, name)
}


def find_mixing_activation(operation):
    """Returns the name of an activation that may mix channels, or `None`.

    Activation functions outside the known elementwise ones, such as softmax or a
    function of the user's, may make each channel depend on the others.
    """
    activation = getattr(operation, "activation", None)
    if activation is None or activation in ELEMENTWISE:
        return None
    # A layer as an activation may have one itself.
    if isinstance(activation, keras.Layer):
        layer_type = find_layer_type(activation)
        if layer_type is not None and layer_type.is_elementwise(activation):
            return find_mixing_activation(activation)
    return getattr(activation, "__name__", str(activation))


def find_ceiling(activation):
    """Returns the most that a ReLU returns, `None` of what is not one.

    Args:
        activation: A function, or a layer or raw operation that applies one.

    Returns:
        Float, see `LayerType.relu_ceiling`, or `None`.
    """
    if activation is keras.activations.relu:
        return math.inf
    if activation is keras.activations.relu6:
        return 6.0
    if not isinstance(activation, keras.Operation):
        return None
    layer_type = find_layer_type(activation)
    return None if layer_type is None else layer_type.relu_ceiling(activation)
