"""Copies of operations with other settings, which they have to take."""

import keras
import numpy as np

from keras_shapley_prune.cut.layer_copies import copy_operation
from keras_shapley_prune.layer_types.stock.recreation import read_config, recreate_layer
from keras_shapley_prune.layer_types.stock.time_distributed import (
    find_wrapped,
    wrap_again,
)


def make_anew(operation, changes):
    """Returns a copy of an operation with other entries in its config.

    Args:
        operation: The layer or raw operation.
        changes: Dict, the entries that change. For the layer in a wrapper: a dict of
            those of its own.

    Raises:
        ValueError: If a layer does not take them.
    """
    if not changes:
        return copy_operation(operation, {})
    if not isinstance(operation, keras.Layer):
        return type(operation).from_config(operation.get_config() | changes)
    if "backward_layer" in changes:
        return _make_directions(operation, dict(changes))
    if "layer" in changes:
        inner = make_anew(find_wrapped(operation), changes["layer"])
        return wrap_again(operation, inner)
    copied = recreate_layer(operation, read_config(operation) | changes)
    config = read_config(copied)
    for name, value in changes.items():  # a user's class may drop what it is given
        if callable(config.get(name)):
            continue  # which was given by name
        if name not in config or np.any(np.ravel(config[name]) != np.ravel(value)):
            raise ValueError(
                f"Expected {type(operation).__name__} to take {name}={value!r}. "
                f"Received: {name}={config.get(name)!r} from its config"
            )
    return copied


def _make_directions(operation, changes):
    """Returns a `Bidirectional` like another, of layers with other settings."""
    both = {
        "layer": make_anew(operation.forward_layer, changes.pop("layer")),
        "backward_layer": make_anew(
            operation.backward_layer, changes.pop("backward_layer")
        ),
    }
    return type(operation)(**read_config(operation) | changes | both)
