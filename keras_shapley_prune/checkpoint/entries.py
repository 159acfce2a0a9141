"""One file of a checkpoint: arrays and plain values, without pickle."""

import io
import json
import zipfile

import numpy as np
import tensorflow as tf

from keras_shapley_prune.checkpoint.whole_files import write_whole
from keras_shapley_prune.inputs.json_files import format_of

_HEADER = "header"  # the array of the bytes of a JSON text
_FORMAT = format_of("Checkpoint")


def write_entry(path, content, run):
    """Writes an entry.

    Args:
        path: A `pathlib.Path`, an `.npz` file.
        content: Dict: name -> array, or value that JSON can hold.
        run: String, what the entries of one run have in common.
    """
    arrays, values, dtypes = {}, {}, {}
    for name, value in content.items():
        if isinstance(value, (np.ndarray, np.generic)):
            array = np.asarray(value)
            # To NumPy, bfloat16 is a number of bytes: its files do not know the name.
            if array.dtype.kind == "V":
                dtypes[name] = array.dtype.name
                array = array.view(f"u{array.dtype.itemsize}")
            arrays[name] = array
        else:
            values[name] = value
    header = {
        "format": _FORMAT,
        "run": run,
        "entry": path.stem,
        "values": values,
        "dtypes": dtypes,
    }
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), "uint8")
    write_whole(path, lambda file: np.savez(file, **arrays))


def read_entry(path, run):
    """Reads an entry.

    Args:
        path: A `pathlib.Path`.
        run: String, see `write_entry`.

    Returns:
        What was written, or `None` if there is no such file.

    Raises:
        ValueError: If the file is damaged, or of another entry or another run.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        arrays = _read_arrays(data)
        header = json.loads(arrays.pop(_HEADER).tobytes())
        own = header["format"], header["run"], header["entry"]
        found = header["values"]
        for name, dtype in header["dtypes"].items():
            arrays[name] = arrays[name].view(tf.as_dtype(dtype).as_numpy_dtype)
    except Exception as error:  # of many kinds, by what the file holds
        raise ValueError(
            f"Expected {str(path)!r} to be a file of a checkpoint. Received: a file "
            f"that is damaged or of another kind ({type(error).__name__}). Without the "
            "file, what it held is done again"
        ) from error
    if own != (_FORMAT, run, path.stem):
        raise ValueError(
            f"Expected {str(path)!r} to be a file of this very run. Received: "
            f"{own[2]!r} of another checkpoint, or under another name"
        )
    return {**found, **arrays}


def _read_arrays(data):
    """Returns the arrays of an `.npz` file, which has to be intact to the last bit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(damaged)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
