"""Calibration data: anything `model.evaluate` takes, as checked batches."""

import warnings

import keras
import tensorflow as tf

from keras_shapley_prune.inputs.data_checks import check_real, check_weights, leaves
from keras_shapley_prune.inputs.forms import (
    as_array,
    count_batches,
    map_arrays,
    open_batches,
    unpack,
    wrong_number,
)
from keras_shapley_prune.inputs.limits import limit


class CalibrationData:
    """Batches `(x, y, sample_weight)` of a dataset, checked against a model.

    Args:
        dataset: What `model.predict` and `model.evaluate` take: a batched
            `tf.data.Dataset`; a `keras.utils.PyDataset` or another sequence of batches,
            read once round; an array, a list of arrays or a dict of arrays, for the
            inputs; a tuple `(x, y)` or `(x, y, sample_weight)` of these; or an iterable
            of batches, such as a generator, that ends before the bounds of `limits.py`.
            Each batch is `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
        inputs: The symbolic inputs of the model, flat or structured as it takes them.
        batch_size: Integer, the size of a batch where `dataset` is arrays. What a model
            of a fixed batch size reads is batched anew, whatever form it comes in.
        needs_labels: Boolean, whether every batch must bring a `y`. Sample weights are
            checked then too: none may be negative, and not all of them 0.
    """

    def __init__(self, dataset, inputs, batch_size=32, needs_labels=True):
        self._inputs = tuple(keras.tree.flatten(inputs))
        # A batch that is a dict names inputs like the model's own dict does; a model
        # that takes a list can be given a dict of the names of its `keras.Input`s.
        self._by_key = {tensor.name: tensor for tensor in self._inputs}
        if isinstance(inputs, dict):
            self._by_key = {key: inputs[key] for key in sorted(inputs)}  # as in flatten
        self._needs_labels = needs_labels
        self._names = [tensor.name for tensor in self._inputs]
        self._fixed = find_fixed_size(self._inputs)
        self._batches = open_batches(dataset, self._names, batch_size)

    def __iter__(self):
        """Yields `(flat list of inputs, y, sample_weight)` as tensors."""
        checked = map(self._check, self._batches())
        empty, weighs = True, None  # `None` as long as there are no weights
        for batch in _regroup(checked, self._fixed) if self._fixed else checked:
            empty = False
            # Of several outputs some may have no weights, and no labels.
            weights = leaves(batch[2]) if self._needs_labels else []
            if weights:
                weighs = check_weights(weights) or bool(weighs)
            yield batch
        if weighs is False:
            raise ValueError(
                "Argument `dataset` should give a `sample_weight` above 0 for some "
                "example. Received: all of them are 0"
            )
        if empty:
            raise ValueError(
                "Argument `dataset` should hold at least one example. "
                "Received: an empty dataset"
            )

    def _check(self, batch):
        x, y, sample_weight = unpack(batch, self._names)
        if y is None and self._needs_labels:
            raise ValueError(
                "Argument `dataset` should hold labels: batches `(x, y)` or "
                "`(x, y, sample_weight)`. Received: batches of inputs only (arrays go "
                "into a tuple `(x, y)`; a list is read as a list of batches)"
            )
        # In the model's order and dtypes, whatever the order of a dict is.
        values = [
            _fit_input(value, tensor, self._fixed)
            for value, tensor in zip(self._order(x), self._inputs, strict=True)
        ]
        y, sample_weight = _tensors(y), _tensors(sample_weight)
        if self._needs_labels:
            for label in leaves(y):
                check_real(label, "`y`")
        count = self._count(values)
        for name, structure in (("y", y), ("sample_weight", sample_weight)):
            # Labels and weights may be nested, as the model's outputs are.
            flat = keras.tree.flatten(structure)
            lengths = {t.shape[0] for t in flat if _has_length(t)}
            if lengths - {count}:
                raise ValueError(
                    f"Argument `dataset` should give a `{name}` for each example. "
                    f"Received: {count} inputs and {sorted(lengths)} "
                    f"entries of `{name}` in one batch"
                )
        return values, y, sample_weight

    def _count(self, values):
        """Returns the number of examples in a batch, the same for all inputs."""
        counts = {
            name: value.shape[0]
            for name, value, tensor in zip(
                self._names, values, self._inputs, strict=True
            )
            # Where the model says how many there are, this has been checked.
            if self._fixed or tensor.shape[0] is None
        }
        if len(set(counts.values())) > 1:
            raise ValueError(
                "Argument `dataset` should give the same number of examples for each "
                f"input. Received: {counts}"
            )
        return values[0].shape[0]

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
        flat = keras.tree.flatten(map_arrays(as_array, x))
        if len(flat) != len(self._inputs):
            raise wrong_number(self._names, len(flat))
        return flat


def make_repeatable(dataset, name="dataset"):
    """Returns a dataset that can be read several times.

    Args:
        dataset: What `CalibrationData` takes. An iterator is read into a list.
        name: String, the argument that it is given for.

    Raises:
        ValueError: If an iterator does not end, see `limits.py`.
    """
    # Images of Keras come as an iterator, too, but by their number they end.
    is_iterator = hasattr(dataset, "__next__") and count_batches(dataset) is None
    return list(limit(dataset, name)) if is_iterator else dataset


def find_fixed_size(inputs):
    """Returns the size of the batches that a model takes, `None` if it takes any.

    Args:
        inputs: The symbolic inputs of the model, a flat sequence.
    """
    sizes = {tensor.shape[0] for tensor in inputs} - {None}
    # Of several sizes none is that of a batch of examples.
    return sizes.pop() if len(sizes) == 1 else None


def _regroup(batches, size):
    """Yields the same examples in batches of one size, without what is left over."""
    pending, num_read, enough = None, 0, False
    for batch in batches:
        num_read += int(batch[0][0].shape[0])
        pending = batch if pending is None else _join(pending, batch)
        while int(pending[0][0].shape[0]) >= size:
            enough = True
            yield _slice(pending, slice(size))
            pending = _slice(pending, slice(size, None))
    if num_read and not enough:
        raise ValueError(
            f"Argument `dataset` should hold at least {size} examples: the model "
            f"takes batches of that size. Received: {num_read}"
        )
    if num_read % size:
        warnings.warn(
            f"The model takes batches of {size} examples: the last {num_read % size} "
            f"of {num_read} are not read",
            stacklevel=2,
        )


def _join(batch, other):
    shapes = [
        [tuple(value.shape[1:]) for value in values] for values, *_ in (batch, other)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "Argument `dataset` should hold examples of one size: the model takes "
            f"batches of a fixed size. Received: sizes {shapes[0]} and {shapes[1]}"
        )
    return keras.tree.map_structure(
        lambda a, b: tf.concat([a, b], axis=0) if _has_length(a) else a, batch, other
    )


def _slice(batch, part):
    return keras.tree.map_structure(lambda a: a[part] if _has_length(a) else a, batch)


def _has_length(value):
    return value is not None and len(value.shape) > 0


def _fit_input(value, tensor, fixed):
    """Returns one input of a batch in the model's dtype, its shape checked."""
    if value is None:
        raise ValueError(
            f"Argument `dataset` should give input {tensor.name!r}, also if it is "
            "optional. Received: None"
        )
    value = _to_tensor(value)
    expected = tuple(tensor.shape)
    if fixed:  # what comes in other sizes is batched anew
        expected = (None, *expected[1:])
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
    check_real(value, f"input {tensor.name!r}", tensor.dtype)
    return tf.cast(value, tensor.dtype)


def _tensors(structure):
    if structure is None:
        return ()
    return map_arrays(_to_tensor, structure)


def _to_tensor(value):
    array = as_array(value)
    try:
        return tf.convert_to_tensor(array)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Argument `dataset` should hold arrays of numbers (or of strings, where "
            f"the model takes them). Received: {type(value)}, of which TensorFlow "
            f"says: {error}"
        ) from error
