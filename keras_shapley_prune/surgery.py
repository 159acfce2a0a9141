"""Surgery: rebuilds a model without the units that leave."""

import warnings

import keras
import numpy as np

from keras_shapley_prune.channel_map import kept
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.graph import functional_view, new_inputs
from keras_shapley_prune.layer_specs import find_letters, find_spec


def remove_channels(model, keep, channel_map=None):
    """Returns a smaller copy of `model` without the units that `keep` leaves out.

    Layers are re-created from their configs, with the same names, dtype policies and
    trainable flags; only the number of filters (units, target shape) changes. Weights
    are copied, without the slices of what is removed.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        keep: Boolean array, shape `(num_units,)`, the units that stay.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.

    Returns:
        A `keras.Sequential` if `model` is one, else a functional `keras.Model`, not
        compiled. It computes what `mask_channels(model, keep)` computes.

    Raises:
        ValueError: If `keep` removes locked units, or all units of a group.

    Example:

    ```python
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[:8]] = False
    smaller = remove_channels(model, keep, channel_map)
    ```
    """
    channel_map = channel_map or trace_channels(model)
    keep = channel_map.check_keep(keep)
    copies, edits = {}, {}

    def copy(operation):
        letters = channel_map.layer_ids.get(operation, {})
        kept_at = {letter: kept(keep, ids) for letter, ids in letters.items()}
        copied = _copy_operation(operation, kept_at)
        copies[operation] = copied, kept_at
        if kept_at and find_spec(operation).arguments:
            edit = find_spec(operation).arguments
            edits[copied] = lambda args, kwargs: edit(args, kwargs, kept_at)
        return copied

    def call(copied, *args, **kwargs):
        if copied in edits:
            args, kwargs = edits[copied](args, kwargs)
        return copied(*args, **kwargs)

    pruned = _rebuild(model, copy, call)
    if not model.trainable:
        pruned.trainable = False  # this sets its layers, whose own flags come next
    for operation, (copied, kept_at) in copies.items():
        if isinstance(operation, keras.Layer):
            if copied.trainable != operation.trainable:
                copied.trainable = operation.trainable
            _copy_weights(operation, copied, kept_at)
    return pruned


def check_copies(graph):
    """Raises an error if a layer of a model cannot be re-created from its config.

    Args:
        graph: The recorded `Graph` of the model.

    Raises:
        ValueError: If a layer cannot; the message names it.
    """
    for operation in dict.fromkeys(call.operation for call in graph.calls):
        _copy_operation(operation, {})


def _rebuild(model, copy, call=None):
    """Re-creates a Sequential or functional model of copies of its operations.

    Args:
        model: The `keras.Model`.
        copy: Callable: operation -> its copy.
        call: Callable `fn(copy, *args, **kwargs)` that calls a copy, or `None`.
    """
    if isinstance(model, keras.Sequential):
        inputs = new_inputs(model.inputs[0])
        return keras.Sequential([inputs, *map(copy, model.layers)], name=model.name)
    view = functional_view(model)
    return keras.models.clone_model(
        view,
        input_tensors=new_inputs(view.input),
        clone_function=copy,
        call_function=call,
    )


def _copy_operation(operation, kept_at):
    """Re-creates a layer or raw operation, with as many channels as stay."""
    if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
        return _rebuild(operation, lambda inner: _copy_operation(inner, {}))
    if not isinstance(operation, keras.Layer):
        try:
            config = operation.get_config()
            _resize(operation, config, kept_at)
            return type(operation).from_config(config)
        except (NotImplementedError, TypeError):
            return operation  # it has no weights and no size: it can serve both
    try:
        return _copy_layer(operation, kept_at)
    except Exception as error:
        raise ValueError(
            "Expected a model whose layers can be re-created from their configs. "
            f"Received: layer {operation.name!r} (of type {type(operation)}), which "
            f"cannot: {error}"
        ) from error


def _copy_layer(operation, kept_at):
    config = _config_of(operation)
    _resize(operation, config, kept_at)
    if isinstance(operation, keras.layers.Lambda):
        # Its from_config refuses functions, and unpacks these two by itself.
        config["arguments"] = operation.arguments
        config["output_shape"] = operation._output_shape
        return type(operation)(**config)
    return type(operation).from_config(config)


def _resize(operation, config, kept_at):
    """Changes the sizes in a config to those that stay."""
    if not kept_at:
        return
    size = find_spec(operation).size
    if callable(size):
        size(config, kept_at)
    elif size:
        config[size] = int(np.count_nonzero(kept_at["o"]))


def _config_of(layer):
    """Returns the config of a layer, functions in it as themselves.

    So a layer with a lambda, or with a function that is not registered with Keras,
    can be re-created too.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The object being serialized")
        config = layer.get_config()
    for name in config:
        value = getattr(layer, name, None)
        if callable(value) and not isinstance(value, keras.Layer):
            config[name] = value
    return config


def _copy_weights(operation, copied, kept_at):
    """Copies weights, leaving out the slices of removed channels."""
    if not kept_at or all(mask.all() for mask in kept_at.values()):
        copied.set_weights(operation.get_weights())
        _finalize(copied)
        return
    for weight, target in zip(operation.weights, copied.weights, strict=True):
        value = keras.ops.convert_to_numpy(weight)
        letters = find_letters(operation, weight)
        for axis, letter in enumerate(letters, start=value.ndim - len(letters)):
            if letter != "." and axis >= 0:
                value = np.compress(kept_at[letter], value, axis=axis)
        target.assign(value)
    _finalize(copied)


def _finalize(layer):
    """Lets a preprocessing layer compute with the weights it has now."""
    if isinstance(layer, keras.layers.Normalization) and layer.weights:
        layer.finalize_state()
