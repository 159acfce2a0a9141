"""Calibration data: anything `model.evaluate` takes, as checked batches."""

import keras
import numpy as np
import tensorflow as tf


class CalibrationData:
    """Batches `(x, y, sample_weight)` of a dataset, checked against a model.

    Args:
        dataset: A finite, batched `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            tuple of arrays `(x, y)` or `(x, y, sample_weight)`, or an iterable of
            batches. Each batch is `(x, y)` or `(x, y, sample_weight)`.
        inputs: The symbolic inputs of the model, flat or structured as it takes them.
        batch_size: Integer, the size of a batch where `dataset` is arrays.
        needs_labels: Boolean, whether every batch must bring a `y`.
    """

    def __init__(self, dataset, inputs, batch_size=32, needs_labels=True):
        self._inputs = tuple(keras.tree.flatten(inputs))
        # A batch that is a dict names inputs like the model's own dict does; a model
        # that takes a list can be given a dict of the names of its `keras.Input`s.
        self._by_key = {tensor.name: tensor for tensor in self._inputs}
        if isinstance(inputs, dict):
            self._by_key = {key: inputs[key] for key in sorted(inputs)}  # as in flatten
        self._needs_labels = needs_labels
        self._batches = _open(dataset, batch_size)

    def __iter__(self):
        """Yields `(flat list of inputs, y, sample_weight)` as tensors."""
        empty = True
        for batch in self._batches():
            empty = False
            yield self._check(batch)
        if empty:
            raise ValueError(
                "Argument `dataset` should hold at least one example. "
                "Received: an empty dataset"
            )

    def _check(self, batch):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None and self._needs_labels:
            raise ValueError(
                "Argument `dataset` should hold labels: batches `(x, y)` or "
                "`(x, y, sample_weight)`. Received: batches of inputs only (arrays go "
                "into a tuple `(x, y)`; a list is read as a list of batches)"
            )
        # In the model's order and dtypes, whatever the order of a dict is.
        values = [
            _fit_input(value, tensor)
            for value, tensor in zip(self._order(x), self._inputs, strict=True)
        ]
        y, sample_weight = _tensors(y), _tensors(sample_weight)
        for name, structure in (("y", y), ("sample_weight", sample_weight)):
            # Labels and weights may be nested, as the model's outputs are.
            lengths = {t.shape[0] for t in keras.tree.flatten(structure) if t.shape}
            if lengths - {values[0].shape[0]}:
                raise ValueError(
                    f"Argument `dataset` should give a `{name}` for each example. "
                    f"Received: {values[0].shape[0]} inputs and {sorted(lengths)} "
                    f"entries of `{name}` in one batch"
                )
        return values, y, sample_weight

    def _order(self, x):
        """Returns the flat inputs of a batch in the model's order."""
        if isinstance(x, dict):
            if set(self._by_key) - set(x):
                raise ValueError(
                    f"Argument `dataset` should give the inputs {list(self._by_key)}. "
                    f"Received: a batch with {sorted(x)}"
                )
            flat = []
            for key, inputs in self._by_key.items():
                # An entry of the dict may be nested itself.
                keras.tree.map_structure_up_to(inputs, flat.append, x[key])
            return flat
        flat = keras.tree.flatten(x)
        if len(flat) != len(self._inputs):
            raise ValueError(
                f"Argument `dataset` should give {len(self._inputs)} input(s) a "
                f"batch. Received: {len(flat)}"
            )
        return flat


def make_repeatable(dataset):
    """Returns a dataset that can be read several times.

    Args:
        dataset: What `CalibrationData` takes. An iterator is read into a list.
    """
    is_iterator = hasattr(dataset, "__next__")
    return list(dataset) if is_iterator else dataset


def _open(dataset, batch_size):
    """Returns a function that iterates the raw batches."""
    # Data without end, or of another kind, is refused before a batch of it is read.
    if isinstance(dataset, tf.data.Dataset):
        if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise _infinite("tf.data.Dataset")
        return lambda: iter(dataset)
    if isinstance(dataset, keras.utils.PyDataset):
        count = dataset.num_batches
        if count is None:
            raise _infinite("keras.utils.PyDataset")
        # By number, as it has to be readable several times.
        return lambda: (dataset[i] for i in range(count))
    if isinstance(dataset, (tuple, dict)) or hasattr(dataset, "__array__"):
        return _open_arrays(dataset, batch_size)
    if hasattr(dataset, "__iter__"):
        return lambda: iter(dataset)
    raise ValueError(
        "Argument `dataset` should be a `tf.data.Dataset`, a "
        "`keras.utils.PyDataset`, a tuple of arrays `(x, y)` or "
        "`(x, y, sample_weight)`, or an iterable of batches. "
        f"Received: {type(dataset)}"
    )


def _open_arrays(arrays, batch_size):
    arrays = keras.tree.map_structure(
        lambda a: a if a is None or tf.is_tensor(a) else np.asarray(a), arrays
    )
    flat = [array for array in keras.tree.flatten(arrays) if array is not None]
    lengths = [array.shape[0] if array.shape else None for array in flat]
    if len(set(lengths)) != 1 or None in lengths:
        raise ValueError(
            "Arrays in argument `dataset` should have the same number of examples. "
            f"Received: first dimensions {lengths}"
        )
    starts = range(0, lengths[0], batch_size)

    def slices():
        for start in starts:
            part = slice(start, start + batch_size)
            yield keras.tree.map_structure(
                lambda a, part=part: None if a is None else a[part], arrays
            )

    return slices


def _infinite(kind):
    return ValueError(
        "Argument `dataset` should be finite; `dataset.take(num_batches)` makes it "
        f"so. Received: an infinite {kind}"
    )


def _fit_input(value, tensor):
    """Returns one input of a batch in the model's dtype, its shape checked."""
    value = tf.convert_to_tensor(_detach(value))
    expected = tuple(tensor.shape)
    # Grey images often come without their last axis, of length 1.
    widened = value.shape.concatenate([1])
    if len(widened) == len(expected) and widened.is_compatible_with(expected):
        value = value[..., tf.newaxis]
    if not value.shape.is_compatible_with(expected):
        hint = ""
        if value.shape.is_compatible_with(expected[1:]):
            hint = ", a single example: batch the dataset first (`dataset.batch(32)`)"
        raise ValueError(
            f"Argument `dataset` should give input {tensor.name!r} in batches of "
            f"shape {expected}. Received: shape {tuple(value.shape)}{hint}"
        )
    return tf.cast(value, tensor.dtype)


def _tensors(structure):
    if structure is None:
        return ()
    return keras.tree.map_structure(
        lambda a: tf.convert_to_tensor(_detach(a)), structure
    )


def _detach(value):
    """Returns tensors of other frameworks as arrays."""
    return value if tf.is_tensor(value) else np.asarray(value)
