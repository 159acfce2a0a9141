"""What a model will cost without some units, before any surgery."""

import math

import numpy as np
import scipy.sparse
import tensorflow as tf

from keras_shapley_prune.layer_types.registry import find_letters
from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.plan.flops import count_call_flops, count_products
from keras_shapley_prune.trace.presence import ALWAYS
from keras_shapley_prune.trace.sizes import describe_inputs

QUANTITIES = ("units", "params", "flops", "bytes")


class CostModel:
    """A quantity of a model as an exact function of the units that are kept.

    Every weight, and every application of a kernel, counts as many entries as the
    product of the lengths of its axes, and an axis is as long as there are units kept
    on it. So the cost is a sum of products, cost = Σ_t f_t Π_a n_a, where n_a is the
    length of axis a and f_t the factor of term t: how many times the entries are used,
    and the lengths of those of its axes that no unit is on.

    What stands in a block has one axis more, of length 1, or 0 once the block is
    removed. What several blocks share is there as long as one of them is, which is 1
    minus the product of the lengths of axes that say that a block is gone.

    Args:
        channel_map: The `ChannelMap` of the model.
        of: String, what is counted: `"units"` (that can be removed), `"params"`
            (all weights, as `model.count_params()`), `"bytes"` (those of the
            weights), or `"flops"` (as `count_flops`, for the `input_shapes` of the
            graph if it has any).

    Raises:
        ValueError: If `of` is none of these, or a size of the model is not known.
    """

    step = 1  # of which multiples the numbers of units should be
    tolerance = 0.01  # of the whole: how far from a budget it is still met
    # Where it is if it cannot be removed, for errors.
    rest = "in layers that are locked or not selected, or in units that have to be kept"

    def __init__(self, channel_map, of):
        num_units = channel_map.num_units
        # Weights that read and write the same channels share an axis. The first one has
        # length 1, whatever is removed: it fills up terms of fewer axes than others.
        self._axes, self._places = [np.array([FIXED])], {((FIXED,), 1): 0}
        self._gone = {}  # axis of length 1 once a block is gone, else 0 -> its unit
        self._tiles = {}  # axis -> of which multiple its length counts, rounded up
        self._terms = []  # (factor, axes of the product)
        self._add_terms(channel_map, of)
        # carried[axis, unit]: how many positions of the axis the unit is at, so that
        # the lengths are a matrix product with the units that are kept.
        rows = np.repeat(np.arange(len(self._axes)), [len(ids) for ids in self._axes])
        columns = np.concatenate(self._axes) % (num_units + 1)  # FIXED is the last
        counts = np.ones(len(rows))
        # Such an axis is as long as the first one, 1, less the block.
        rows = np.append(rows, list(self._gone)).astype(int)
        columns = np.append(columns, list(self._gone.values())).astype(int)
        counts = np.append(counts, -np.ones(len(self._gone)))
        entries = counts, (rows, columns)
        shape = len(self._axes), num_units + 1
        self._carried = scipy.sparse.csr_array(entries, shape)  # repeated ones add up
        self._by_unit = self._carried.tocsc()
        widest = max((len(axes) for _, axes in self._terms), default=1)
        self._factors = np.array([factor for factor, _ in self._terms], float)
        self._products = np.zeros((len(self._terms), widest), int)
        for row, (_, axes) in zip(self._products, self._terms, strict=True):
            row[: len(axes)] = axes

    def lengths(self, keep=None):
        """Returns how long each axis is if only the units `keep` are kept.

        Args:
            keep: Boolean array, shape `(num_units,)`, `None` for all units.
        """
        if keep is None:
            keep = np.ones(self._carried.shape[1] - 1, bool)
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
        return round(float(self.terms(lengths).sum()))

    def terms(self, lengths):
        """Returns the value of each term for given axis lengths, a float array."""
        rounded = lengths.copy()
        for axis, tile in self._tiles.items():
            rounded[axis] = np.ceil(lengths[axis] / tile) * tile
        return self._factors * rounded[self._products].prod(axis=1)

    def prices(self, lengths):
        """Returns what one more position on each axis costs.

        Args:
            lengths: Float array, from `lengths`.

        Returns:
            Float array of that shape.
        """
        # The derivative of each product is the product of the other lengths. It is not
        # the product divided by the length, as a length may be 0; an axis that stands
        # twice in a term (a kernel from a stream to itself) gets both parts.
        found, prices = lengths[self._products], np.zeros(len(lengths))
        for column in range(found.shape[1]):
            others = np.delete(found, column, axis=1).prod(axis=1)
            np.add.at(prices, self._products[:, column], self._factors * others)
        prices[0] = 0.0  # it stands for what has no units
        return prices

    def savings(self, lengths, steps):
        """Returns what is saved by each of some steps, to first order, a float array.

        Args:
            lengths: Float array, from `lengths`.
            steps: List of arrays of that shape, by how much each shortens the axes.
        """
        prices = self.prices(lengths)
        return np.array([step @ prices for step in steps])

    def count(self, keep=None):
        """Returns the cost if only the units `keep` are kept, see `total`."""
        return self.total(self.lengths(keep))

    def _add_terms(self, channel_map, of):
        """Adds the terms of a quantity; other cost models have others."""
        if of not in QUANTITIES:
            raise ValueError(
                f"Argument `of` should be one of {QUANTITIES}. Received: of={of!r}"
            )
        if of == "units":
            self._add_units(channel_map)
        elif of == "flops":
            self._add_flops(channel_map)
        else:
            self._add_weights(channel_map, count_bytes=of == "bytes")

    def _add(self, factor, axes, presence=ALWAYS, tiles=None):
        """Adds terms: what has axes, and is there or not.

        Args:
            factor: Integer.
            axes: List of integer arrays, the unit ids of each.
            presence: Frozenset of clauses, see `find_presence`.
            tiles: List of integers, of which multiple the length of each axis counts,
                `None` for lengths as they are.
        """
        tiles = tiles or [1] * len(axes)
        axes = [self._place(*axis) for axis in zip(axes, tiles, strict=True)]
        for sign, more in self._expand(presence):
            self._terms.append((sign * factor, axes + more))

    def _expand(self, presence):
        """Returns a sum of products that is 1 where clauses are met, and else 0.

        Returns:
            List of tuples of the sign and the axes of each product.
        """
        if len(presence) < 2:
            return [
                (1, [self._place(np.array([unit])) for unit in sorted(clause)])
                for clause in presence
            ]
        # 1 - Π (1 - Π b): one of the clauses is met unless none is.
        products = [(-1, [])]
        for clause in sorted(presence, key=sorted):
            if len(clause) == 1:
                (unit,) = clause
                gone = [self._place_gone(unit)]
                products = [(sign, axes + gone) for sign, axes in products]
                continue
            met = [self._place(np.array([unit])) for unit in sorted(clause)]
            products += [(-sign, axes + met) for sign, axes in products]
        return [(1, []), *products]

    def _place_gone(self, unit):
        """Returns the axis that has length 1 if a block is gone, else 0."""
        key = "gone", unit
        if key not in self._places:
            self._places[key] = len(self._axes)
            self._gone[len(self._axes)] = unit
            self._axes.append(np.array([FIXED]))
        return self._places[key]

    def _place(self, ids, tile=1):
        key = tuple(ids.tolist()), tile
        if key not in self._places:
            self._places[key] = len(self._axes)
            if tile > 1:
                self._tiles[len(self._axes)] = tile
            self._axes.append(ids)
        return self._places[key]

    def _add_units(self, channel_map):
        together = {}  # on which blocks it depends -> units that are there then
        for group in channel_map.groups:
            presence = ALWAYS
            if group.kind == "channels" and channel_map.presence:
                presence = channel_map.presence_of_group(group)
            together.setdefault(presence, []).append(group.units)
        for presence, units in together.items():
            self._add(1, [np.concatenate(units)], presence)

    def _add_weights(self, channel_map, count_bytes):
        # A layer that is called twice has its weights once.
        for operation in dict.fromkeys(c.operation for c in channel_map.graph.calls):
            presence = channel_map.presence_of(channel_map.graph.calls_of(operation))
            for weight in getattr(operation, "weights", ()):
                size = tf.as_dtype(weight.dtype).size if count_bytes else 1
                letters = find_letters(operation, weight)
                shape = weight.shape
                term = axes_of(channel_map, operation, letters, shape, size)
                self._add(*term, presence)

    def _add_flops(self, channel_map):
        for call in channel_map.graph.sized.calls:
            presence = channel_map.presence_of([call])
            flops = count_call_flops(call)
            if flops is None:
                raise ValueError(
                    "Expected a model of known spatial sizes, to count FLOPs. Where it "
                    "takes any size, data or argument `input_shape` says for which. "
                    f"Received: inputs {describe_inputs(channel_map.graph)}, and "
                    f"{call.name!r} with output shape {call.outputs[0].shape}"
                )
            products = count_products(call)
            if not products:  # none, or a model of its own
                self._add(flops, [], presence)
            for letters, shape, uses in products:
                term = axes_of(
                    channel_map, call.operation, letters, shape, 2 * uses, call
                )
                self._add(*term, presence)


def axes_of(channel_map, operation, letters, shape, factor, call=None):
    """Returns the factor and the unit ids of the axes of what has a shape."""
    letters_of = channel_map.layer_ids.get(operation)
    # What is locked has all its channels, whatever is removed elsewhere.
    if letters_of is None or operation in channel_map.obstacles:
        return factor * math.prod(shape), []
    axes = []
    # Letters are aligned to the right: a kernel's leading axes, its taps, have none.
    for axis, size in enumerate(shape, start=len(letters) - len(shape)):
        letter = letters[axis] if axis >= 0 else "."
        if isinstance(letter, tuple):  # an axis of what the call reads
            ids = channel_map.ids_at(call, *letter)
        else:
            ids = None if letter == "." else letters_of[letter]
        if ids is None:
            factor *= size
        else:
            axes.append(ids)
    return factor, axes
