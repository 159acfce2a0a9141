"""What a run depends on, as a dict that can be compared with that of another run."""

import hashlib
import inspect
import json
import re
import types
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

import keras_shapley_prune
from keras_shapley_prune.inputs.compiling import compile_arguments

_LONGEST = 40  # characters of a value that is shown


def describe_run(model, batches, **settings):
    """Returns all that the result of a run depends on.

    Args:
        model: The `keras.Model`.
        batches: Iterable of `(inputs, labels, weights)`, the data as it is read.
        **settings: Objects that are settings, arrays and plain values.

    Returns:
        Dict: what it is, for people -> a plain value, or the hash of a large one.
    """
    found = _describe_software() | _describe_model(model) | _describe_data(batches)
    for name, value in settings.items():
        found |= _flatten(name, _describe(value))
    return found


def find_differences(stored, given):
    """Returns what differs in two descriptions, a list of strings for people.

    Args:
        stored: Dict, what `describe_run` returned for the run that was begun.
        given: The same of the run that is to go on.
    """
    differences = []
    for name in dict.fromkeys([*stored, *given]):
        there, here = (_to_text(found, name) for found in (stored, given))
        if there != here:
            is_hash = there.startswith('"#') or here.startswith('"#')
            values = f" (was {_shorten(there)}, is {_shorten(here)})"
            differences.append(name if is_hash else name + values)
    return differences


def hash_batches(batches):
    """Returns the hashes of inputs and labels of some data, and how many examples."""
    hashes, count = [hashlib.sha256(), hashlib.sha256()], 0
    for inputs, *others in batches:
        count += int(inputs[0].shape[0])
        for found, structure in zip(hashes, (inputs, others), strict=True):
            for tensor in keras.tree.flatten(structure):
                _add_tensor(found, tf.convert_to_tensor(tensor))
    return *map(_finish, hashes), count


def _add_tensor(found, tensor):
    """Adds a tensor to a hash, numbers without a copy of them."""
    if tensor.dtype == tf.string:
        found.update(tf.io.serialize_tensor(tensor).numpy())
        return
    array = np.ascontiguousarray(tensor.numpy())
    found.update(f"{tensor.dtype.name} {tuple(tensor.shape)} ".encode())
    found.update(array.reshape(-1).view("u1").data if array.size else b"")


def _describe_software():
    # Another version may add up in another order: then the last bits differ.
    libraries = keras_shapley_prune, keras, tf, np
    return {f"version of {one.__name__}": one.__version__ for one in libraries}


def _describe_model(model):
    text = _describe_layers(model)
    weights = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value))
        weights.update(f"{variable.path} {array.dtype} {array.shape}".encode())
        weights.update(array.view("u1").data if array.size else b"")
    loss = compile_arguments(model).get("loss") if model.compiled else None
    return {
        "layers of the model": _finish(hashlib.sha256(text.encode())),
        "weights of the model": _finish(weights),
        "loss of the model": json.dumps(_describe(loss), sort_keys=True),
    }


def _describe_layers(model):
    """Returns a text of the layers: their configs, or names and classes if need be."""
    try:
        config = model.get_config()
        config.pop("name", None)  # Keras counts models; nothing depends on it
        return json.dumps(config, sort_keys=True, default=lambda v: type(v).__name__)
    except (NotImplementedError, TypeError, ValueError):  # of layers without a config
        return repr([(layer.name, type(layer).__name__) for layer in model.layers])


def _describe_data(batches):
    inputs, labels, count = hash_batches(batches)
    return {
        "number of examples": count,
        "inputs of the data": inputs,
        "labels of the data": labels,
    }


def _describe(value):
    """Returns a setting as what JSON can hold."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(_describe(key)): _describe(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_describe(entry) for entry in value]
    if isinstance(value, (set, frozenset)):  # whose order differs between processes
        return sorted(map(_describe, value), key=repr)
    if isinstance(value, re.Pattern):  # `repr` would show no more than its beginning
        return f"re.compile({value.pattern!r}, {value.flags})"
    if isinstance(value, keras.Model):
        return _describe_model(value)
    if isinstance(value, np.ndarray):
        data = f"{value.dtype} {value.shape}".encode() + value.tobytes()
        return _finish(hashlib.sha256(data))
    if isinstance(value, types.FunctionType):
        # Another body under the same name is another function.
        return f"{value.__name__} {_hash_code(value.__code__)}"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return value.__name__
    return {"class": type(value).__name__, **_describe_object(value)}


def _describe_object(value):
    """Returns what an object was made with, as far as it says so."""
    try:
        names = inspect.signature(type(value)).parameters
        return {name: _describe(getattr(value, name)) for name in names}
    except (TypeError, ValueError, AttributeError):
        config = value.get_config() if hasattr(value, "get_config") else {}
        return {str(key): _describe(entry) for key, entry in config.items()}


def _hash_code(code):
    constants = list(map(_describe_constant, code.co_consts))
    text = repr((code.co_code, code.co_names, constants))
    return _finish(hashlib.sha256(text.encode()))


def _describe_constant(value):
    if isinstance(value, types.CodeType):
        return _hash_code(value)
    # The order of a set differs from process to process.
    return repr(sorted(value, key=repr) if isinstance(value, frozenset) else value)


def _flatten(name, value):
    """Returns a dict of one entry for each plain value, named `name.inner`."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    found = {}
    for key, entry in value.items():
        found |= _flatten(f"{name}.{key}", entry)
    return found


def _finish(found):
    return f"#{found.hexdigest()[:32]}"


def _to_text(description, name):
    if name not in description:
        return "not there"
    return json.dumps(description[name], sort_keys=True)  # so that NaN equals NaN


def _shorten(text):
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
