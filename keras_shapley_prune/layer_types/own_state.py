"""What a layer saves beside its weights: a vocabulary, a table, a file."""

import pathlib
import tempfile

import keras
import numpy as np


def copy_own_state(layer, copied):
    """Gives a copy what a layer saves beside its weights, as a saved model would.

    Neither a config nor the weights hold the vocabulary that `adapt` has found. Keras
    writes it by `save_own_variables` and `save_assets`, and so may layers of a user's.

    Args:
        layer: The layer.
        copied: A layer made of its config. It shares nothing with `layer` afterwards.
    """
    pairs = zip(layer._flatten_layers(), copied._flatten_layers(), strict=False)
    for ours, theirs in pairs:
        stored = _read_variables(ours)
        if stored:
            theirs.load_own_variables(stored)
        if hasattr(ours, "save_assets"):
            # After the variables, as Keras loads them: some assets need those.
            with tempfile.TemporaryDirectory() as folder:
                ours.save_assets(folder)
                if any(pathlib.Path(folder).iterdir()):
                    theirs.load_assets(folder)


def describe_own_state(operation):
    """Returns why a layer cannot be cut because of what it saves, `None` if it can.

    Args:
        operation: A layer, or a raw operation, which saves nothing.

    Returns:
        String that goes on after the layer's class, or `None`.
    """
    if not isinstance(operation, keras.Layer):
        return None
    for layer in operation._flatten_layers():
        if hasattr(layer, "save_assets"):
            return "saves files of its own, which cannot be cut"
        if _read_variables(layer):
            return "saves variables that are not its weights, which cannot be cut"
    return None


def _to_array(value):
    is_tensor = keras.ops.is_tensor(value) or isinstance(value, keras.Variable)
    return keras.ops.convert_to_numpy(value) if is_tensor else np.asarray(value)


def _read_variables(layer):
    """Returns what a layer stores that its weights do not say, a dict."""
    writes = type(layer).save_own_variables is not keras.Layer.save_own_variables
    # Keras's own layers with weights store those, by numbers.
    stock = type(layer).__module__.startswith("keras.src.layers.")
    if not writes or (stock and layer.weights):
        return {}
    stored = {}
    layer.save_own_variables(stored)
    # Files hold arrays, also of single numbers, and layers read them as such.
    stored = {name: _to_array(value) for name, value in stored.items()}
    # So do most others, only by other names.
    shapes = sorted(tuple(np.shape(value)) for value in stored.values())
    own = sorted(tuple(weight.shape) for weight in layer.weights)
    return {} if shapes == own else stored
