"""Batches of a size that suits the network."""

import itertools
import math

import numpy as np
import tensorflow as tf

LARGEST_BYTES = 2**26  # of the largest tensor: larger ones leave the processor's caches
SEEN_BYTES = 2**28  # of all that is seen of a batch on its way


def rebatch(batches, graph, seen_bytes=0, num_workers=1):
    """Returns the same examples, in order, in batches that are fast to run.

    The size of the batches in which the data comes says nothing of what the network
    does best with. Examples of different shapes are not put together.

    Args:
        batches: List of lists of input tensors, one list a batch.
        graph: The recorded `Graph`.
        seen_bytes: Integer, what a `WatchedPass` returns of one example.
        num_workers: Integer, how many share the batches: as many batches, or a multiple
            of them, if there are examples enough.

    Returns:
        List of lists of arrays, of tensors if they are strings. `batches` itself if the
        model takes batches of one size only.
    """
    if has_fixed_batch(graph):
        return batches
    rebatched = []
    for _, alike in itertools.groupby(batches, _shapes_of):
        alike = list(alike)
        size = suited_size(graph, alike[0])
        size = max(min(size, SEEN_BYTES // max(seen_bytes, 1)), 1)
        if num_workers > 1 or min(len(batch[0]) for batch in alike) < size:
            alike = [[tf.concat(parts, axis=0) for parts in zip(*alike, strict=True)]]
        for batch in alike:
            rebatched += _split(batch, size, num_workers)
    return rebatched


def has_fixed_batch(graph):
    """Returns whether a model takes batches of one size only.

    Args:
        graph: The recorded `Graph`.
    """
    return any(tensor.shape[0] is not None for tensor in graph.inputs)


def suited_size(graph, inputs):
    """Returns how many examples a batch should have, at least 1.

    Args:
        graph: The recorded `Graph`.
        inputs: List of tensors, some batch.
    """
    return max(LARGEST_BYTES // max(_sizes(graph, inputs)), 1)


def count_bytes(graph, inputs):
    """Returns how many bytes all tensors of one example take, about.

    Args:
        graph: The recorded `Graph`.
        inputs: List of tensors, some batch.
    """
    return sum(_sizes(graph, inputs))


def _split(batch, size, num_workers):
    """Returns parts of a batch, all of about one size, without a copy of numbers."""
    length = len(batch[0])
    rounds = math.ceil(length / (size * num_workers))
    whole = [np.asarray(t) if t.dtype != tf.string else t for t in batch]
    if num_workers == 1:
        size = math.ceil(length / rounds)
        ends = [*range(0, length, size), length]
    else:  # as even as can be: all wait for the slowest
        count = min(rounds * num_workers, length)
        ends = [length * place // count for place in range(count + 1)]
    pairs = itertools.pairwise(ends)
    return [[tensor[start:stop] for tensor in whole] for start, stop in pairs]


def _shapes_of(batch):
    return [tuple(tensor.shape[1:]) for tensor in batch]


def _sizes(graph, inputs):
    """Returns the bytes of each tensor for one example, about, a list."""
    symbolic, real = graph.inputs[0].shape[1:], inputs[0].shape[1:]
    # Where a model takes images of any size, tensors are guessed from the channels.
    unknown = max(
        (r for s, r in zip(symbolic, real, strict=True) if s is None), default=1
    )
    tensors = [*graph.inputs, *(t for call in graph.calls for t in call.outputs)]
    shapes = [tensor.shape[1:] for tensor in tensors if tensor.shape]
    return [4 * math.prod(n or unknown for n in shape) for shape in shapes]
