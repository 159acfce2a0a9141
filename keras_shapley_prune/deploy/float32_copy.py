"""A copy in float32 of a model that computes in half precision."""

import keras

from keras_shapley_prune.layer_types.own_state import copy_own_state
from keras_shapley_prune.layer_types.stock.recreation import (
    finalize_weights,
    read_config,
    recreate_layer,
)
from keras_shapley_prune.layer_types.twins import make_twin
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    input_structure,
    runs_its_graph,
    with_layers,
)

HALVES = ("float16", "bfloat16")
_WIDER = dict.fromkeys(HALVES, "float32")
_WIDER |= {f"mixed_{half}": "float32" for half in HALVES}


def find_halves(model):
    """Returns the half-precision types in which a model stores or computes, a list.

    Args:
        model: A built Sequential or functional `keras.Model`.
    """
    found = set()
    for layer in with_layers(model):
        if runs_its_graph(layer):  # it has a policy too, but its layers compute
            found.update(tensor.dtype for tensor in layer.inputs)
        elif not isinstance(layer, keras.layers.InputLayer):
            found.add(getattr(layer, "compute_dtype", None))
            found.update(weight.dtype for weight in layer.weights)
    return [half for half in HALVES if half in found]


def copy_in_float32(model):
    """Returns a copy of a model that stores and computes in float32.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.

    Returns:
        A functional `keras.Model` of the same names, not compiled.

    Raises:
        ValueError: If a layer cannot be re-created from its config.
    """
    copies = {}

    def copy(operation):
        if runs_its_graph(operation):
            copies[operation] = None
            return copy_in_float32(operation)
        if operation not in copies:
            copies[operation] = _copy_operation(operation)
        return copies[operation]

    copied = keras.models.clone_model(
        functional_view(model),
        input_tensors=keras.tree.map_structure(_widen_input, input_structure(model)),
        clone_function=copy,
        call_function=lambda operation, *args, **kwargs: operation(*args, **kwargs),
    )
    for original, twin in copies.items():
        if isinstance(twin, keras.Layer):
            _copy_weights(original, twin)
    return copied


def _widen_input(tensor):
    dtype = _WIDER.get(tensor.dtype, tensor.dtype)
    return keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)


def _copy_operation(operation):
    if not isinstance(operation, keras.Layer):
        try:  # a cast has its type in the config, most others have none
            return type(operation).from_config(_widen(operation.get_config()))
        except (NotImplementedError, TypeError):
            return make_twin(operation)
    try:
        return recreate_layer(operation, _widen(read_config(operation)))
    except Exception as error:
        raise ValueError(
            "Expected a model whose layers can be re-created from their configs, for a "
            f"copy in float32. Received: layer {operation.name!r} (of type "
            f"{type(operation)}), which cannot: {error}"
        ) from error


def _widen(config):
    """Returns a config with float32 in the place of half precision."""
    if isinstance(config, dict):
        return {key: _widen(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_widen(value) for value in config)
    return _WIDER.get(config, config) if isinstance(config, str) else config


def _copy_weights(original, copied):
    values = [keras.ops.cast(weight, "float32") for weight in original.weights]
    for weight, value in zip(copied.weights, values, strict=True):
        weight.assign(keras.ops.cast(value, weight.dtype))
    copy_own_state(original, copied)
    finalize_weights(copied)
