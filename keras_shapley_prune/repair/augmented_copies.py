"""Augmented copies of the calibration data, for layers that see few rows of it."""

import itertools
import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.repair.augmentation import draw_moves, move
from keras_shapley_prune.trace.forward_pass import MEMORY, ForwardPass

FEW_ROWS = 8  # for each column: with fewer, a fit follows its few examples
MAX_COPIES = 4


class AugmentedCopies:
    """Both networks on copies of the data in which images are flipped and shifted.

    A dense layer after pooling sees one row an image, far fewer than it has columns.
    What the original returns for a shifted image needs no label: so it can be fitted
    to that too. The networks stand where they were last asked for: on a copy that no
    layer asks for they are not run.

    Args:
        graphs: Tuple of the `Graph`s of the original and of the copy.
        batches: List of lists of input tensors, one list a batch.
        find_masks: See `run_calls`, for the copy.
    """

    def __init__(self, graphs, batches, find_masks):
        self._graphs, self._batches, self._find_masks = graphs, batches, find_masks
        self._pairs = []

    def take(self, num_copies, position):
        """Returns a list of pairs of `ForwardPass`s, original and pruned, one a copy.

        An empty list if no input is an image.

        Args:
            num_copies: Integer.
            position: Integer, the index of the call they are taken before. All
                before that are as they will stay.
        """
        if not any(len(tensor.shape) == 4 for tensor in self._batches[0]):
            return []
        for copy in range(len(self._pairs), num_copies):
            batches = _augment_batches(self._batches, np.random.default_rng(copy))
            original, pruned = self._graphs
            memory = MEMORY // (2 * MAX_COPIES)  # all together as much as the data
            self._pairs.append(
                (
                    ForwardPass(original, batches, memory=memory),
                    ForwardPass(pruned, batches, self._find_masks, memory),
                )
            )
        taken = self._pairs[:num_copies]
        for frontier in itertools.chain.from_iterable(taken):
            frontier.advance(position)
        return taken


def count_copies(num_rows, num_columns):
    """Returns how many copies a layer needs.

    Args:
        num_rows: Integer, rows of the layer in the data itself.
        num_columns: Integer.
    """
    missing = FEW_ROWS * num_columns - num_rows
    return min(max(math.ceil(missing / num_rows), 0), MAX_COPIES)


def _augment_batches(batches, generator):
    """Returns augmented batches; how the examples are batched makes no difference."""
    sizes = [len(batch[0]) for batch in batches]
    shifts, flipped = draw_moves(sum(sizes), generator)
    augmented, start = [], 0
    for batch, size in zip(batches, sizes, strict=True):
        here = slice(start, start + size)
        arrays = [tensor.numpy() for tensor in batch]
        moved = move(arrays, shifts[:, here], flipped[here])
        augmented.append([tf.constant(array) for array in moved])
        start += size
    return augmented
