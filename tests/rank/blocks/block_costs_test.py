"""Tests of what blocks cost as they are removed in order."""

import pytest

from keras_shapley_prune.rank.blocks.block_costs import count_block_depths

DEPTHS = {
    (1, 1): [1],
    (2, 0): [1],
    (3, 3): [1, 2, 3],
    (9, 9): [1, 2, 4, 7],
    (9, 5): [1, 2, 4],
    (27, 26): [1, 2, 4, 8, 16],
    (64, 64): [1, 2, 4, 8, 16, 32, 48],
}


@pytest.mark.parametrize("num_blocks, num_removed", DEPTHS)
def test_depths(num_blocks, num_removed):
    found = count_block_depths(num_blocks, num_removed)
    assert found == DEPTHS[num_blocks, num_removed]
