"""What a model will cost without some units, before any surgery."""

import math

import numpy as np
import scipy.sparse
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_letters
from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.plan.flops import count_call_flops, count_products

QUANTITIES = ("units", "params", "flops", "bytes")


class CostModel:
    """A quantity of a model as an exact function of the units that stay.

    Every weight, and every application of a kernel, counts as many entries as the
    product of its axes, and an axis is as long as there are units left on it. So the
    cost is a sum of products of axis lengths.

    Args:
        channel_map: The `ChannelMap` of the model.
        of: String, what is counted: `"units"` (that can be removed), `"params"`
            (all weights, as `model.count_params()`), `"bytes"` (those of the
            weights), or `"flops"` (as `count_flops`).

    Raises:
        ValueError: If `of` is none of these, or a size of the model is not known.
    """

    def __init__(self, channel_map, of):
        if of not in QUANTITIES:
            raise ValueError(
                f"Argument `of` should be one of {QUANTITIES}. Received: of={of!r}"
            )
        num_units = channel_map.num_units
        self._axes, self._places = [np.array([FIXED])], {(FIXED,): 0}
        self._terms = []  # (factor, axes of the product)
        if of == "units":
            units = [group.units for group in channel_map.groups]
            self._add(1, [np.concatenate([*units, []]).astype(int)])
        elif of == "flops":
            self._add_flops(channel_map)
        else:
            self._add_weights(channel_map, count_bytes=of == "bytes")
        rows = np.repeat(np.arange(len(self._axes)), [len(ids) for ids in self._axes])
        columns = np.concatenate(self._axes) % (num_units + 1)  # FIXED is the last
        entries = np.ones(len(rows)), (rows, columns)
        shape = len(self._axes), num_units + 1
        self._carried = scipy.sparse.csr_array(entries, shape)  # repeated ones add up
        self._by_unit = self._carried.tocsc()
        widest = max((len(axes) for _, axes in self._terms), default=1)
        self._factors = np.array([factor for factor, _ in self._terms], float)
        self._products = np.zeros((len(self._terms), widest), int)
        for row, (_, axes) in zip(self._products, self._terms, strict=True):
            row[: len(axes)] = axes

    def lengths(self, keep):
        """Returns how long each axis is when the units `keep` stay.

        Args:
            keep: Boolean array, shape `(num_units,)`.
        """
        return self._carried @ np.append(keep, True).astype(float)

    def lengths_of(self, units):
        """Returns how much of each axis some units take up.

        Args:
            units: Integer array.
        """
        return self._by_unit[:, units].sum(axis=1)

    def total(self, lengths):
        """Returns the cost for given axis lengths, an integer.

        Args:
            lengths: Float array, from `lengths`.
        """
        return round(float(self._factors @ lengths[self._products].prod(axis=1)))

    def prices(self, lengths):
        """Returns what one more position on each axis costs.

        Args:
            lengths: Float array, from `lengths`.

        Returns:
            Float array of that shape.
        """
        found, prices = lengths[self._products], np.zeros(len(lengths))
        for column in range(found.shape[1]):
            others = np.delete(found, column, axis=1).prod(axis=1)
            np.add.at(prices, self._products[:, column], self._factors * others)
        prices[0] = 0.0  # it stands for what has no units
        return prices

    def count(self, keep):
        """Returns the cost when the units `keep` stay, an integer."""
        return self.total(self.lengths(keep))

    def _add(self, factor, axes):
        self._terms.append((factor, [self._place(ids) for ids in axes]))

    def _place(self, ids):
        key = tuple(ids.tolist())
        if key not in self._places:
            self._places[key] = len(self._axes)
            self._axes.append(ids)
        return self._places[key]

    def _add_weights(self, channel_map, count_bytes):
        for operation in dict.fromkeys(c.operation for c in channel_map.graph.calls):
            for weight in getattr(operation, "weights", ()):
                size = tf.as_dtype(weight.dtype).size if count_bytes else 1
                letters = find_letters(operation, weight)
                shape = weight.shape
                self._add(*_axes_of(channel_map, operation, letters, shape, size))

    def _add_flops(self, channel_map):
        for call in channel_map.graph.calls:
            flops = count_call_flops(call)
            if flops is None:
                raise ValueError(
                    "Expected a model of known spatial sizes, to count FLOPs. "
                    f"Received: {call.name!r} with output shape "
                    f"{call.outputs[0].shape}"
                )
            products = count_products(call)
            if not products:  # none, or a model of its own
                self._add(flops, [])
            for letters, shape, uses in products:
                axes = _axes_of(channel_map, call.operation, letters, shape, 2 * uses)
                self._add(*axes)


def _axes_of(channel_map, operation, letters, shape, factor):
    """Returns the factor and the unit ids of the axes of what has a shape."""
    letters_of = channel_map.layer_ids.get(operation)
    if letters_of is None or operation in channel_map.obstacles:
        return factor * math.prod(shape), []
    axes = []
    for axis, size in enumerate(shape, start=len(letters) - len(shape)):
        letter = letters[axis] if axis >= 0 else "."
        if letter == ".":
            factor *= size
        else:
            axes.append(letters_of[letter])
    return factor, axes
