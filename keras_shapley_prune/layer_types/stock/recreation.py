"""What to know of single layers of Keras where a model is made anew of its parts.

Here subclasses count too: a user's `Lambda` or `Normalization` is made as Keras's is,
whatever is registered of its channels.
"""

import keras
from keras import layers
from keras.src.ops.numpy import Reshape


def recreate_layer(layer, config):
    """Returns a layer of the same class from a config.

    Args:
        layer: The original.
        config: Dict, its config, functions in it as themselves.
    """
    if not isinstance(layer, layers.Lambda):
        return type(layer).from_config(config)
    # Its from_config refuses functions, and unpacks these two by itself.
    config["arguments"] = layer.arguments
    config["output_shape"] = layer._output_shape
    return type(layer)(**config)


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


def pass_on(tensor):
    """Returns a symbolic tensor as a layer returns it that changes nothing."""
    return layers.Identity()(tensor)


def tell_apart(operation):
    """Returns whether it makes a difference which one of its kind an operation is.

    It does for layers, which have weights and settings of their own.
    """
    is_layer = isinstance(operation, keras.Layer)
    return is_layer and type(operation) is not layers.Identity
