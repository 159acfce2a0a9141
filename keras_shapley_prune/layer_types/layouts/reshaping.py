"""Rules of what reshapes, flattens or transposes."""

import math

import keras
import numpy as np

from keras_shapley_prune.layer_types.layouts.orders import (
    arrange,
    behind_transposition,
    channels_last,
    flat_rows,
    same_order,
)
from keras_shapley_prune.layer_types.layouts.recipe import Recipe, same_rows
from keras_shapley_prune.layer_types.registry import find_data_format


def transposition(call, placed):
    """What changes the order of axes, and nothing else: nothing is to be done."""
    if len(placed) != 1 or placed[0].rows is not None:
        return None
    order, rank = placed[0].order, placed[0].rank
    axes = _read_axes(call.operation, rank)
    to_first = [0, rank - 1, *range(1, rank - 1)]
    # What was in no other order stays as it was, but for channels that are put first:
    # what follows may read them last.
    if axes[0] != 0 or (order == same_order(rank) and axes != to_first):
        return None
    moved = behind_transposition(order, axes)
    return Recipe((order,), lambda rank: moved, is_free=True)


def _read_axes(operation, rank):
    """Returns which axis of the input each axis of the output is."""
    # Lengths that are all different show where each of them goes.
    numbered = keras.KerasTensor(tuple(range(2, rank + 2)))
    return [length - 2 for length in operation.compute_output_spec(numbered).shape]


def flatten(call, placed):
    """A `Flatten`: with `channels_first`, it flattens with the channels last anyway."""
    (value,) = placed
    config = {}
    if find_data_format(call.operation) == "channels_first":
        if value.rank < 3:
            return None
        config = {"data_format": "channels_last"}
        return Recipe((channels_last(value.rank),), same_order, config)
    return None if value.is_as_before else _flat(value)


def _flat(value, function=None):
    """Returns the recipe of what makes one axis of all but the examples'."""
    if value.rows is not None or None in value.shape[1:]:
        return None
    rows = flat_rows(value.shape[1:], value.order)
    return Recipe((value.order,), same_order, rows_out=rows, function=function)


def reshape_layer(call, placed):
    """A layer with a `target_shape`."""
    return reshape(call, placed, True)


def reshape(call, placed, is_layer=False):
    """What reshapes, or adds or removes axes of length 1.

    Axes are taken apart, or put together, where they stand.
    """
    if len(placed) != 1:
        return None
    value, after = placed[0], call.outputs[0].shape
    if value.rows is not None:
        return _unflatten(value, after, is_layer)
    before_channels = value.rank == 2 and after[1:] == (
        value.shape[1],
        *(1,) * (len(after) - 2),
    )
    if value.is_as_before and not (before_channels and len(after) > 2):
        return None
    if len(after) == 2 and value.rank > 2 and None not in value.shape[1:]:
        recipe = _flat(value, lambda tensor: keras.ops.reshape(tensor, (-1, after[1])))
        if not is_layer or recipe is None:
            return recipe
        return Recipe(recipe.orders, same_order, rows_out=recipe.rows_out)
    blocks = match_axes(value.shape, after)
    if blocks is None:
        return None
    orders = _place_blocks(value.order, blocks)
    lengths = [-1 if after[axis] is None else after[axis] for axis in orders[1]]
    if lengths.count(-1) > (2 if is_layer else 1):
        return None
    options = {"function": lambda tensor: keras.ops.reshape(tensor, lengths)}
    if is_layer:
        options = {"config": {"target_shape": tuple(lengths[1:])}}
    return Recipe((orders[0],), lambda rank: orders[1], **options)


def _unflatten(value, after, is_layer):
    """Returns the recipe of what undoes a flattening, in the order it was done in."""
    order = channels_last(len(after))
    if None in after[1:] or not same_rows(value.rows, flat_rows(after[1:], order)):
        return None
    lengths = (-1, *arrange(after, order)[1:])
    options = {"function": lambda tensor: keras.ops.reshape(tensor, lengths)}
    if is_layer:
        options = {"config": {"target_shape": lengths[1:]}}
    rows = (value.rows,)
    return Recipe((value.order,), lambda rank: order, rows=rows, **options)


def match_axes(before, after):
    """Returns which axes of a row-major reshape become which.

    Args:
        before: Tuple of integers or `None`, the shape, the examples first.
        after: Tuple, the shape that it gets.

    Returns:
        List of pairs of lists of axes, as small as can be, in order; `None` if that is
        not known.
    """
    blocks, i, j = [([0], [0])], 1, 1
    while i < len(before) or j < len(after):
        ours, theirs = before[i : i + 1], after[j : j + 1]
        last = j == len(after) - 1 and theirs[0] is None
        if last and ours and i < len(before) - 1:
            blocks.append((list(range(i, len(before))), [j]))
            i, j = len(before), len(after)
        elif ours and ours == theirs:
            blocks.append(([i], [j]))
            i, j = i + 1, j + 1
        elif theirs == (1,):
            blocks.append(([], [j]))
            j += 1
        elif ours == (1,):
            blocks.append(([i], []))
            i += 1
        else:
            block = _grow(before, after, i, j)
            if block is None:
                return None
            blocks.append(block)
            i, j = block[0][-1] + 1, block[1][-1] + 1
    return blocks


def _grow(before, after, i, j):
    """Returns the smallest block of axes from `i` and `j` on of the same size."""
    ours, theirs = [i], [j]
    while True:
        lengths = [before[a : a + 1] for a in ours] + [after[a : a + 1] for a in theirs]
        if any(length in ((), (None,)) for length in lengths):
            return None
        sizes = (
            math.prod(before[a] for a in ours),
            math.prod(after[a] for a in theirs),
        )
        if sizes[0] == sizes[1]:
            return ours, theirs
        if sizes[0] < sizes[1]:
            ours.append(ours[-1] + 1)
        else:
            theirs.append(theirs[-1] + 1)


def _place_blocks(order, blocks):
    """Returns the orders before and after a reshape that keep blocks at their places.

    Args:
        order: Tuple, the order in which the tensor is.
        blocks: As of `match_axes`.

    Returns:
        Tuple of two orders. The first is `order` unless a block lies apart in it.
    """
    moved = [block for block in blocks if block[0]]
    # A block whose axes lie apart is put together where the last of them is.
    moved.sort(key=lambda block: max(order.index(axis) for axis in block[0]))
    before = tuple(np.concatenate([ours for ours, _ in moved]).astype(int).tolist())
    after = [axis for _, theirs in moved for axis in theirs]
    new = [axis for ours, theirs in blocks if not ours for axis in theirs]
    # New axes of length 1 come before the last one: the channels remain last.
    return before, (0, *after[1:-1], *new, *after[1:][-1:])
