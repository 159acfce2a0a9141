"""Copies of single layers and raw operations, with the channels that are kept."""

import keras
import numpy as np

from keras_shapley_prune.layer_types.bias_folding import has_bias
from keras_shapley_prune.layer_types.own_state import copy_own_state
from keras_shapley_prune.layer_types.registry import find_layer_type, find_letters
from keras_shapley_prune.layer_types.stepwise.layer import Stepwise, at_steps, innermost
from keras_shapley_prune.layer_types.stock.recreation import (
    finalize_weights,
    read_config,
    recreate_layer,
    serialize_config,
)
from keras_shapley_prune.layer_types.twins import make_twin


def check_copies(graph):
    """Raises an error if a layer of a model cannot be re-created from its config.

    Args:
        graph: The recorded `Graph` of the model.

    Raises:
        ValueError: If a layer cannot; the message names it.
    """
    for operation in dict.fromkeys(call.operation for call in graph.calls):
        if not is_stock(operation):
            copy_operation(operation, {})


def copy_operation(operation, kept_at):
    """Re-creates a layer or raw operation, with the channels that are kept.

    Args:
        operation: The layer or raw operation.
        kept_at: Dict: letter of a weight axis -> boolean array, which positions are
            kept. Empty if all are.
    """
    if isinstance(operation, Stepwise):
        return at_steps(copy_operation(operation.operation, kept_at))
    if not isinstance(operation, keras.Layer):
        try:
            config = operation.get_config()
            _resize(operation, config, kept_at)
            copied = type(operation).from_config(config)
            # By its name it is found again; some configs leave it out.
            copied.name = operation.name
            return copied
        except (NotImplementedError, TypeError):
            # It has no weights and no size: what it does serves both.
            return make_twin(operation)
    return _recreate(operation, lambda config: _resize(operation, config, kept_at))


def copy_with_bias(operation):
    """Re-creates a layer, to add a bias if that does not.

    Args:
        operation: The layer, which has a `LinearForm` or a `DepthwiseForm`. If it has
            no bias, its `LayerType` knows how it gets one.
    """
    if has_bias(operation):
        return copy_operation(operation, {})
    return _recreate(operation, find_layer_type(operation).add_bias)


def is_stock(operation):
    """Returns whether an operation is made of nothing but Keras's own parts.

    That of them are re-created from their configs need not be tried.
    """
    operation = innermost(operation)
    if not type(operation).__module__.startswith("keras.src.layers."):
        return False
    try:
        stack = [serialize_config(operation)]
    except Exception:  # of a function of the user's
        return False
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            module = value.get("module", "keras")
            # Keras writes the code of a lambda down, alone if it is an activation.
            is_lambda = value.get("class_name") == "__lambda__" or [*value] == ["value"]
            is_own = value.get("registered_name") or module.split(".")[0] != "keras"
            if is_own or is_lambda:
                return False  # a part of the user's
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)
        elif not isinstance(value, (str, int, float, type(None))):
            return False
    return True


def _recreate(layer, change):
    """Returns a layer made of the config of another, which `change` changes."""
    try:
        config = read_config(layer)
        change(config)
        return recreate_layer(layer, config)
    except Exception as error:
        raise ValueError(
            "Expected a model whose layers can be re-created from their configs. "
            f"Received: layer {layer.name!r} (of type {type(layer)}), which "
            f"cannot: {error}"
        ) from error


def _resize(operation, config, kept_at):
    """Changes the sizes in a config to what is kept."""
    if kept_at:  # else it is locked, or nothing is to be removed
        find_layer_type(operation).resize(config, kept_at)


def copy_weights(operation, copied, kept_at):
    """Copies weights, without the slices of removed channels.

    Args:
        operation: The layer.
        copied: Its copy by `copy_operation`.
        kept_at: As it was given there.
    """
    operation, copied = innermost(operation), innermost(copied)
    if not kept_at or all(mask.all() for mask in kept_at.values()):
        copied.set_weights(operation.get_weights())
        copy_own_state(operation, copied)
        finalize_weights(copied)
        return
    for weight, target in zip(operation.weights, copied.weights, strict=True):
        value = keras.ops.convert_to_numpy(weight)
        target.assign(cut_weight(operation, weight, value, kept_at))
    finalize_weights(copied)


def cut_weight(operation, weight, value, kept_at):
    """Removes the slices of removed channels.

    Args:
        operation: The layer.
        weight: The one of its weights whose axes count.
        value: Array of the shape of `weight`.
        kept_at: As it was given to `copy_operation`.

    Returns:
        An array, `value` itself if nothing is removed.
    """
    for axis, mask in _masks_of_axes(operation, weight, kept_at).items():
        value = np.compress(mask, value, axis=axis)
    return value


def embed_weight(operation, weight, value, kept_at):
    """Puts back what `cut_weight` has taken out: a weight of the full size.

    Args:
        operation: The layer.
        weight: The one of its weights in which `value` takes the place of what is kept.
        value: Array, as `cut_weight` returns it.
        kept_at: As it was given to `copy_operation`.

    Returns:
        An array of the shape of `weight`.
    """
    masks = _masks_of_axes(operation, weight, kept_at)
    if not masks:
        return value
    whole = np.array(keras.ops.convert_to_numpy(weight))
    places = [
        np.flatnonzero(masks.get(axis, np.ones(length, bool)))
        for axis, length in enumerate(whole.shape)
    ]
    whole[np.ix_(*places)] = value
    return whole


def _masks_of_axes(operation, weight, kept_at):
    """Returns a dict: axis of a weight -> which of its positions are kept."""
    if not kept_at or all(mask.all() for mask in kept_at.values()):
        return {}
    letters = find_letters(operation, weight)
    # Letters are aligned to the right, as the taps of a kernel stand before its
    # channels, in one, two or three dimensions.
    first = len(weight.shape) - len(letters)
    return {
        axis: kept_at[letter]
        for axis, letter in enumerate(letters, start=first)
        if letter != "." and axis >= 0
    }
