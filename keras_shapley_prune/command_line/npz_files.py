"""Examples in `.npz` files: numbers or strings, for one input or several."""

import zipfile

import keras
import numpy as np

from keras_shapley_prune.command_line.input_files import InputError

TEXT = "US"  # kinds of NumPy's types of strings
_NUMBERS = "biuf"


def read_npz(path, model):
    """Reads the examples of a file.

    Args:
        path: A `pathlib.Path`.
        model: The `keras.Model` that takes them.

    Returns:
        Tuple `(x, y)`. `x` is the array x, or arrays with the names of the model's
        inputs, in their structure; `y` the array y, or `None`.

    Raises:
        InputError: If it is no such file, or holds something else.
    """
    # NumPy would try to read it as another format, and say so.
    if not zipfile.is_zipfile(path):
        raise InputError(f"Data {str(path)!r} should be an .npz file. It is none")
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    x, y = _take_inputs(found, model), found.get("y")
    parts = keras.tree.flatten(x)
    columns = parts if y is None else [*parts, y]
    if _fit(parts, model) and len({column.shape[:1] for column in columns}) == 1:
        return x, y
    names = [tensor.name for tensor in model.inputs]
    kinds = "/".join("strings" if _is_text(one) else "numbers" for one in model.inputs)
    raise InputError(
        f"Data {str(path)!r} should hold {kinds} x, or arrays {names} for the inputs "
        "of the model, and perhaps an array y with an entry for each example. "
        f"Received: { {name: array.shape for name, array in found.items()} }"
    )


def count_examples(x):
    """Returns the number of examples of an array, or of arrays in a structure."""
    return len(keras.tree.flatten(x)[0])


def _take_inputs(found, model):
    """Returns x of a dict of arrays, what has the names of the inputs, or `[]`."""
    if "x" in found:
        return found["x"]
    if all(tensor.name in found for tensor in model.inputs):
        return keras.tree.map_structure(lambda one: found[one.name], model.input)
    return []


def _fit(parts, model):
    """Returns whether arrays are of examples of the kinds that a model takes."""
    return bool(parts) and all(
        part.ndim > 0 and part.dtype.kind in (TEXT if _is_text(tensor) else _NUMBERS)
        for part, tensor in zip(parts, model.inputs, strict=False)
    )


def _is_text(tensor):
    return tensor.dtype == "string"
