"""The forms in which data comes, and how each of them is read as batches."""

import numbers
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.limits import endless, limit


def open_batches(dataset, names, batch_size):
    """Returns a function that iterates the batches of a dataset.

    Data without an end, or of another kind, is refused before a batch of it is read.
    If only reading can tell, it is refused after a bounded number of examples.

    Args:
        dataset: What `CalibrationData` takes.
        names: List of strings, the names of the model's inputs.
        batch_size: Integer, the size of a batch where `dataset` is arrays.

    Raises:
        ValueError: If `dataset` has no end, or is of another kind.
    """
    if isinstance(dataset, tf.data.Dataset):
        return _open_tf_data(dataset)
    arrays = find_arrays(dataset, names)
    if arrays is not None:
        return _open_arrays(arrays, batch_size)
    count = count_batches(dataset)
    if count is not None:
        # By number, as it has to be readable several times. What iterates a
        # `PyDataset` of images of Keras goes round without end.
        return lambda: (dataset[i] for i in range(count))
    if isinstance(dataset, list):
        return lambda: iter(dataset)
    if hasattr(dataset, "__iter__") and not isinstance(dataset, (str, type)):
        return lambda: limit(dataset)
    raise ValueError(
        "Argument `dataset` should be a `tf.data.Dataset`, a "
        "`keras.utils.PyDataset`, a tuple of arrays `(x, y)` or "
        "`(x, y, sample_weight)`, or an iterable of batches"
        f"{', such as what a generator function returns' if callable(dataset) else ''}."
        f" Received: {type(dataset)}"
    )


def find_arrays(dataset, names):
    """Returns the arrays that a dataset consists of, `None` if it is batches.

    Args:
        dataset: What `CalibrationData` takes.
        names: List of strings, the names of the model's inputs.

    Returns:
        Tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)`, of nested arrays, or `None`.
    """
    if is_array(dataset) or isinstance(dataset, dict):
        return (dataset,)
    if isinstance(dataset, (list, tuple)) and are_inputs(dataset, names):
        return (list(dataset),)
    return dataset if isinstance(dataset, tuple) else None


def unpack(data, names):
    """Returns `(x, y, sample_weight)`, of which the last two may be `None`.

    Args:
        data: A batch, or a tuple of arrays.
        names: List of strings, the names of the model's inputs.
    """
    if is_array(data) or not isinstance(data, (list, tuple)):
        return data, None, None
    if are_inputs(data, names):
        return list(data), None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "Argument `dataset` should give `x`, `(x,)`, `(x, y)` or "
            f"`(x, y, sample_weight)`. Received: {len(data)} entries"
        )
    return (*data, None, None)[:3]


def are_inputs(entries, names):
    """Returns whether entries are the arrays of a model's several inputs.

    One array alone cannot be what such a model takes: where there are only arrays,
    none of them is a label.

    Args:
        entries: List or tuple.
        names: List of strings, the names of the model's inputs.

    Raises:
        ValueError: If there are only arrays, but not one for each input.
    """
    # Optional inputs may be `None` for Keras; what they lack is said later.
    arrays = [entry for entry in entries if entry is not None]
    if len(names) < 2 or not arrays or not all(map(is_array, arrays)):
        return False
    if len(entries) != len(names):
        raise wrong_number(names, len(entries))
    return True


def wrong_number(names, received):
    """Returns the error of data that has not one array for each input.

    Args:
        names: List of strings, the names of the model's inputs.
        received: Integer, how many arrays there are.
    """
    several = ", ".join(names)
    by_name = ", ".join(f"'{name}': {name}" for name in names)
    how = (
        f" (an array for each, as `[{several}]` or `{{{by_name}}}`; with labels "
        f"`([{several}], y)`)"
    )
    return ValueError(
        f"Argument `dataset` should give {len(names)} input(s) a batch. "
        f"Received: {received}{how if len(names) > 1 else ''}"
    )


def count_batches(dataset):
    """Returns how many batches there are of data that is read by number.

    That is a `keras.utils.PyDataset`, or another sequence, such as those of tf_keras.
    `None` for all else.

    Args:
        dataset: What `CalibrationData` takes.

    Raises:
        ValueError: If there are batches without end.
    """
    if isinstance(dataset, keras.utils.PyDataset):
        try:
            count = dataset.num_batches
        except NotImplementedError:
            raise ValueError(
                "Argument `dataset` should tell its number of batches, by `__len__` "
                f"or `num_batches`. Received: {dataset!r}, a keras.utils.PyDataset"
            ) from None
        if count is None:
            raise endless("an infinite keras.utils.PyDataset")
        return count
    if isinstance(dataset, (list, tuple, dict, str)) or is_array(dataset):
        return None
    if not all(hasattr(type(dataset), name) for name in ("__getitem__", "__len__")):
        return None
    if len(dataset) == sys.maxsize:  # the longest that can be: it means no end
        raise endless(f"an infinite {type(dataset).__name__}")
    return len(dataset)


def is_array(value):
    """Returns whether a value is one array: also of numbers in (nested) lists."""
    if isinstance(value, list):
        return len(value) > 0 and all(
            is_array(entry) if isinstance(entry, list) else _is_number(entry)
            for entry in value
        )
    # `toarray` is that of sparse matrices of SciPy, which Keras takes, too.
    names = ("__array__", "toarray")
    return tf.is_tensor(value) or any(hasattr(value, name) for name in names)


def as_array(value):
    """Returns an array, or a tensor of TensorFlow as it is.

    Args:
        value: Whatever `is_array` is true of: tensors of other frameworks, too.

    Raises:
        ValueError: If it is ragged.
    """
    if isinstance(value, tf.RaggedTensor):
        raise ValueError(
            "Argument `dataset` should hold dense tensors; `ragged.to_tensor()` makes "
            f"one. Received: a RaggedTensor of shape {value.shape}"
        )
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(tf.sparse.reorder(value))
    if tf.is_tensor(value):
        return value
    if hasattr(value, "toarray"):
        return value.toarray()
    try:
        return np.asarray(value)
    except ValueError as error:  # such as lists of different lengths
        raise ValueError(
            f"Argument `dataset` should hold arrays. Received: {type(value)}, of which "
            f"NumPy says: {error}"
        ) from error


def map_arrays(function, structure):
    """Applies a function to each array of nested arrays; `None` remains.

    Args:
        function: Callable: array -> any value.
        structure: Nested lists, tuples and dicts of whatever `is_array` is true of.
    """
    if isinstance(structure, dict):
        return {k: map_arrays(function, value) for k, value in structure.items()}
    if isinstance(structure, (list, tuple)) and not is_array(structure):
        return [map_arrays(function, value) for value in structure]
    return None if structure is None else function(structure)


def _open_tf_data(dataset):
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise endless("an infinite tf.data.Dataset")
    if cardinality == tf.data.UNKNOWN_CARDINALITY:
        return lambda: limit(dataset, kind="a tf.data.Dataset of unknown length")
    return lambda: iter(dataset)


def _open_arrays(arrays, batch_size):
    arrays = tuple(map_arrays(as_array, arrays))
    flat = [array for array in keras.tree.flatten(arrays) if array is not None]
    lengths = [int(array.shape[0]) if array.ndim else None for array in flat]
    if len(set(lengths)) != 1 or None in lengths:
        shown = lengths if len(lengths) <= 10 else f"{lengths[:10]} and others"
        raise ValueError(
            "Arrays in argument `dataset` should have the same number of examples. "
            f"Received: first dimensions {shown}"
        )

    def slices():
        for start in range(0, lengths[0], batch_size):
            part = slice(start, start + batch_size)
            yield tuple(map_arrays(lambda array, part=part: array[part], arrays))

    return slices


def _is_number(value):
    return isinstance(value, numbers.Number)
