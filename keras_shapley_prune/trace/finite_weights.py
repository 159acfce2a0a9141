"""Whether the weights that carry units are finite."""

import keras

from keras_shapley_prune.inputs.finite import find_not_finite
from keras_shapley_prune.layer_types.registry import find_letters


def check_weights(channel_map, operations=None, expected="a model of finite weights"):
    """Raises a `ValueError` that names layer and variable unless weights are finite.

    Only weights with units on one of their axes are looked at: what a layer of the
    user's holds besides, such as a mask of minus infinity, says nothing of a unit.

    Args:
        channel_map: The `ChannelMap` of the model.
        operations: Iterable of its operations, or `None` for all that carry units.
        expected: String, what should be.
    """
    if operations is None:
        operations = channel_map.layer_ids
    for operation in operations:
        for weight in getattr(operation, "weights", ()):
            if not find_letters(operation, weight):
                continue
            found = find_not_finite(keras.ops.convert_to_numpy(weight))
            if found is not None:
                at, number = found
                raise ValueError(
                    f"Expected {expected}. Received: {number} in variable "
                    f"{weight.path!r} of layer "
                    f"{channel_map.graph.name_of(operation)!r}, at {list(at)}"
                )
