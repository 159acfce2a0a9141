"""Augmented copies of the calibration data, for layers that see few rows of it."""

import math
from functools import partial

import numpy as np
import tensorflow as tf

from keras_shapley_prune.repair.augmentation import draw_moves, move

FEW_ROWS = 8  # for each column: with fewer, a fit follows its few examples
ENOUGH_EXAMPLES = 100  # with as many, moved ones show a fit next to nothing new
MAX_COPIES = 4


class AugmentedCopies:
    """Networks on copies of the data in which images are flipped and shifted.

    A dense layer after pooling sees one row an image, far fewer than it has columns.
    What the original returns for a shifted image needs no label: so it can be fitted
    to that too. On a copy that no layer asks for no network is run.

    Args:
        batches: List of lists of input tensors, one list a batch.
        memory: Integer, bytes of activations that all of them may hold.
    """

    def __init__(self, batches, memory):
        self._batches, self._copies = batches, []
        self._memory = memory

    def take(self, num_copies, *networks):
        """Returns a list of tuples of `ForwardPass`es, one a copy: of each network.

        They stand where those of the data itself stand. An empty list if no input is
        an image.

        Args:
            num_copies: Integer.
            *networks: The `ForwardPass` of each network on the data itself.
        """
        for copy in range(len(self._copies), num_copies):
            batches = augment_batches(self._batches, copy)
            if not batches:
                return []
            memory = max(self._memory // (MAX_COPIES * len(networks)), 1)
            self._copies.append([network.on(batches, memory) for network in networks])
        for copy in self._copies[:num_copies]:
            for theirs, ours in zip(copy, networks, strict=True):
                theirs.advance(ours.position)
        return self._copies[:num_copies]


def count_copies(num_rows, num_columns, most=MAX_COPIES):
    """Returns how many copies a layer needs.

    Args:
        num_rows: Integer, rows of the layer in the data itself.
        num_columns: Integer.
        most: Integer, as many are worth their price.
    """
    missing = FEW_ROWS * num_columns - num_rows
    return min(max(math.ceil(missing / num_rows), 0), most, MAX_COPIES)


def most_copies(num_examples):
    """Returns how many copies of the data are worth a pass through both networks.

    Moved images are not new ones: of few examples they make more, of many they do not.

    Args:
        num_examples: Integer.
    """
    return max(math.ceil(ENOUGH_EXAMPLES / num_examples) - 1, 0)


def augment_batches(batches, copy):
    """Returns callables, one a batch, that return it augmented.

    How the examples are batched makes no difference.

    Args:
        batches: List of lists of input tensors, one list a batch.
        copy: Integer, the number of the copy.

    Returns:
        List of callables; empty if no input is an image.
    """
    if not any(len(tensor.shape) == 4 for tensor in batches[0]):
        return []
    generator = np.random.default_rng(copy)
    sizes = [len(batch[0]) for batch in batches]
    shifts, flipped = draw_moves(sum(sizes), generator)
    augmented, start = [], 0
    for batch, size in zip(batches, sizes, strict=True):
        here = slice(start, start + size)
        augmented.append(partial(_augment, batch, shifts[:, here], flipped[here]))
        start += size
    return augmented


def _augment(batch, shifts, flipped):
    moved = move(list(map(np.asarray, batch)), shifts, flipped)
    return [tf.constant(array) for array in moved]
