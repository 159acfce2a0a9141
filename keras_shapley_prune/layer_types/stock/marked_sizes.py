"""Numbers that stand for a size which is not known yet, and what takes their place.

Code that asks a tensor for a size which the graph leaves open, such as the number of
examples, can be traced with a number in its place: a prime that is found again in
whatever was computed from it.
"""

import keras
import numpy as np
from keras import ops
from keras.src.ops.core import Slice
from keras.src.ops.numpy import BroadcastTo, GetItem, Repeat, Reshape, Tile

from keras_shapley_prune.layer_types.stock.marked_arrays import make_array
from keras_shapley_prune.layer_types.stock.own_weights import OwnWeight, is_array
from keras_shapley_prune.layer_types.stock.recreation import serialize_config
from keras_shapley_prune.layer_types.stock.sizes_of_others import (
    BroadcastLike,
    CropLike,
    ReshapeLike,
)


class MarkedSizeError(Exception):
    """What is computed from a size cannot be computed when the model runs."""


class MarkedSizes:
    """Puts the true sizes where a model was traced with marks.

    Args:
        marks: Dict: prime -> position of an input, the axis whose length it is, and how
            many times the prime that length was when the model was traced.
        inputs: List of symbolic tensors, the inputs with the sizes left open.
    """

    def __init__(self, marks, inputs):
        self._marks, self._inputs = marks, inputs

    def call(self, operation, *args, **kwargs):
        """Calls an operation, without what was marked.

        Args:
            operation: The layer or raw operation, as it was traced.
            *args: What it is called with, tensors of the model without marks in it.
            **kwargs: The same by name.

        Raises:
            MarkedSizeError: If nothing can take the place of a mark.
        """
        args, kwargs = keras.tree.map_structure(self._free_array, (args, kwargs))
        if type(operation) is OwnWeight:
            if not self._has_marks(operation.shape):
                return operation(*args, **kwargs)
            return self._free_array(ops.convert_to_numpy(operation.weight))
        handler = _HANDLERS.get(type(operation))
        if handler is not None:
            found = handler(self, operation, *args, **kwargs)
            if found is not None:
                return found
        if self._has_marks(_settings_of(operation)) or self._has_marks((args, kwargs)):
            raise MarkedSizeError(
                f"computes with a size that is not known: {type(operation).__name__}"
            )
        return operation(*args, **kwargs)

    def _has_marks(self, structure):
        leaves = keras.tree.flatten(structure)
        sizes = [x for leaf in leaves for x in _integers_in(leaf)]
        return any(self._marks_in(size) for size in sizes)

    def _marks_in(self, size):
        return [prime for prime in self._marks if size and size % prime == 0]

    def _read(self, sizes):
        """Returns sizes as a `BroadcastLike` takes them, and the other tensor."""
        found = {p for size in sizes for p in self._marks_in(size)}
        owners = {self._marks[prime][0] for prime in found} or {0}
        # All inputs have the same number of examples.
        lengths = {self._marks[p][0] for p in found if self._marks[p][1] > 0}
        if len(lengths) > 1:
            raise MarkedSizeError("computes with sizes of several inputs")
        other = self._inputs[min(lengths or owners)]
        return [self._read_one(size) for size in sizes], other

    def _read_one(self, size):
        axes, parts = [], 1
        for prime in self._marks_in(size):
            size //= prime
            axes.append(self._marks[prime][1])
            parts *= self._marks[prime][2]
        return [size, parts, *axes] if axes else size

    def broadcast(self, tensor, shape):
        """Returns a tensor repeated to a shape that may hold marks."""
        sizes, other = self._read(shape)
        return BroadcastLike(sizes)(tensor, other)

    def reshape(self, tensor, shape):
        """Returns a tensor of a shape that may hold marks."""
        sizes, other = self._read(shape)
        if sum(not isinstance(size, int) for size in sizes) == 1 and -1 not in sizes:
            return ops.reshape(
                tensor, [size if isinstance(size, int) else -1 for size in sizes]
            )
        return ReshapeLike(sizes)(tensor, other)

    def crop(self, tensor, stops):
        """Returns the beginning of some axes, up to stops that may be marks."""
        sizes, other = self._read(stops)
        return CropLike(sizes)(tensor, other)

    def _free_array(self, value):
        """Returns an array, or a symbolic one in its place if a length is a mark."""
        if not is_array(value) or not self._has_marks(tuple(value.shape)):
            return value
        shape = tuple(value.shape)
        marked = [axis for axis, length in enumerate(shape) if self._marks_in(length)]
        tensor = make_array(np.asarray(value), marked, self._inputs[0], self.broadcast)
        if tensor is None:
            raise MarkedSizeError("has constants of a size that is not known")
        return self.broadcast(tensor, shape)

    def _free_reshape(self, operation, tensor):
        # The shape as it was traced knows what a -1 stands for.
        shape = tuple(operation.output.shape)
        if None in shape:
            shape = operation.newshape
        return self.reshape(tensor, shape) if self._has_marks(shape) else None

    def _free_broadcast(self, operation, tensor):
        shape = operation.shape
        return self.broadcast(tensor, shape) if self._has_marks(shape) else None

    def _free_tile(self, operation, tensor):
        repeats = np.ravel(operation.repeats).tolist()
        if not self._has_marks(repeats):
            return None
        rank = max(len(repeats), len(tensor.shape))
        repeats = [1] * (rank - len(repeats)) + repeats
        lengths = [1] * (rank - len(tensor.shape)) + list(tensor.shape)
        pairs = list(zip(lengths, repeats, strict=True))
        # Along other axes it is repeated as before, in blocks.
        if any(n != 1 and self._marks_in(r) for n, r in pairs):
            return None
        fixed = [1 if self._marks_in(r) else r for r in repeats]
        tensor = ops.tile(tensor, fixed)
        return self.broadcast(
            tensor,
            [
                r if self._marks_in(r) else n
                for n, r in zip(tensor.shape, repeats, strict=True)
            ],
        )

    def _free_repeat(self, operation, tensor):
        repeats, axis = np.ravel(operation.repeats).tolist(), operation.axis
        if len(repeats) > 1 or axis is None or not self._has_marks(repeats):
            return None
        shape = list(tensor.shape)
        if shape[axis] != 1:
            return None
        shape[axis] = repeats[0]
        return self.broadcast(tensor, shape)

    def _free_slice(self, operation, tensor, start_indices):
        sizes = keras.tree.flatten((start_indices, operation.shape))
        if not all(isinstance(n, int) for n in sizes):
            return None
        bounds = zip(start_indices, operation.shape, strict=True)
        key = [slice(a, None if n == -1 else a + n) for a, n in bounds]
        return self._subscribe(tensor, key)

    def _free_item(self, operation, tensor, key):
        if not self._has_marks(_bounds_of(key)):
            return None
        key = list(key) if isinstance(key, (tuple, list)) else [key]
        if Ellipsis in key or None in key:
            return None
        return self._subscribe(tensor, key)

    def _subscribe(self, tensor, key):
        stops, rest = [-1] * len(tensor.shape), list(key)
        for axis, entry in enumerate(key):
            if not isinstance(entry, slice):
                continue
            if self._has_marks(entry.stop) and not entry.start and not entry.step:
                stops[axis], rest[axis] = entry.stop, slice(None)
        if stops != [-1] * len(stops):
            tensor = self.crop(tensor, stops)
        if self._has_marks(_bounds_of(rest)):
            raise MarkedSizeError("takes a part of a size that is not known")
        plain = all(entry in (slice(None), slice(0, None)) for entry in rest)
        return tensor if plain else tensor[tuple(rest)]


def free_slice(operation, args, kwargs):
    """Returns what `keras.ops.slice` takes, as a subscript, which channels pass.

    `None` of any other operation, or if the start is not known.
    """
    if type(operation) is not Slice:
        return None
    return MarkedSizes({}, [])._free_slice(operation, *args, **kwargs)


def _settings_of(operation):
    """Returns the attributes or config entries of an operation."""
    if isinstance(operation, keras.Layer):
        try:
            return serialize_config(operation)
        except Exception:  # it has none
            return []
    return [v for k, v in vars(operation).items() if not k.startswith("_")]


def _integers_in(value):
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return [int(value)]
    return _bounds_of(value) if isinstance(value, slice) else []


def _bounds_of(key):
    """Returns the integers in the bounds of slices."""
    found = []
    for entry in key if isinstance(key, (tuple, list)) else [key]:
        if isinstance(entry, slice):
            bounds = entry.start, entry.stop, entry.step
            found += [n for n in bounds if isinstance(n, int)]
        elif isinstance(entry, int):
            found.append(entry)
    return found


_HANDLERS = {
    Reshape: MarkedSizes._free_reshape,
    BroadcastTo: MarkedSizes._free_broadcast,
    Tile: MarkedSizes._free_tile,
    Repeat: MarkedSizes._free_repeat,
    Slice: MarkedSizes._free_slice,
    GetItem: MarkedSizes._free_item,
}
