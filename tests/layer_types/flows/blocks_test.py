"""Tests of which axes of a reshaped tensor correspond."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_shapley_prune.layer_types.flows.blocks import match_blocks


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((None, 6, 8), (None, 6, 4, 2), [([2], [2, 3]), ([1], [1]), ([0], [0])]),
        ((None, 6, 4, 2), (None, 6, 8), [([2, 3], [2]), ([1], [1]), ([0], [0])]),
        ((None, 4, 4, 8), (None, 2, 8, 8), [([3], [3]), ([1, 2], [1, 2]), ([0], [0])]),
        ((None, 6, 4), (None, 4, 6), [([1, 2], [1, 2]), ([0], [0])]),
        # Examples become more: they are a block with what they are made of.
        ((None, 6, 8), (None, 3, 8), [([2], [2]), ([0, 1], [0, 1])]),
        ((None, None, 8), (None, None, 4, 2), [([2], [2, 3]), ([0, 1], [0, 1])]),
        ((None, 1, 1, 8), (None, 8), [([3], [1]), ([0, 1, 2], [0])]),
    ],
)
def test_blocks(before, after, expected):
    assert match_blocks(before, after) == expected


@hypothesis.given(st.lists(st.integers(1, 4), max_size=5), st.randoms())
def test_a_reshape_moves_entries_within_blocks_only(factors, random):
    """Wherever an entry is along the axes of a block, it is there on both sides."""

    def draw_shape():
        shape = [1]
        for factor in factors:
            if random.random() < 0.5:
                shape[-1] *= factor
            else:
                shape.append(factor)
        return tuple(shape)

    before, after = draw_shape(), draw_shape()
    blocks = match_blocks(before, after)
    axes = [[a for b in blocks[::-1] for a in b[side]] for side in (0, 1)]
    assert axes == [[*range(len(before))], [*range(len(after))]]
    for ins, outs in blocks:
        lengths = [before[axis] for axis in ins]
        assert math.prod(lengths) == math.prod(after[axis] for axis in outs)
        # The number of each entry within the block, on both sides.
        numbers = np.arange(math.prod(lengths)).reshape(lengths)
        inside = np.expand_dims(
            numbers, [a for a in range(len(before)) if a not in ins]
        )
        moved = np.broadcast_to(inside, before).reshape(after)
        others = tuple(axis for axis in range(len(after)) if axis not in outs)
        assert (moved.min(axis=others) == moved.max(axis=others)).all()
