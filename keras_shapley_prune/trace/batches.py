"""Batches of a size that suits the network."""

import itertools
import math

import tensorflow as tf

LARGEST_BYTES = 2**26  # of the largest tensor: larger ones leave the processor's caches


def rebatch(batches, graph):
    """Returns the same examples, in order, in batches that are fast to run.

    The size of the batches in which the data comes says nothing of what the network
    does best with. Examples of different shapes are not put together.

    Args:
        batches: List of lists of input tensors, one list a batch.
        graph: The recorded `Graph`.

    Returns:
        List of lists of input tensors. `batches` itself if the model takes batches of
        one size only.
    """
    if any(tensor.shape[0] is not None for tensor in graph.inputs):
        return batches
    rebatched = []
    for _, alike in itertools.groupby(
        batches, lambda batch: [t.shape[1:] for t in batch]
    ):
        whole = [tf.concat(tensors, axis=0) for tensors in zip(*alike, strict=True)]
        size = max(LARGEST_BYTES // _largest(graph, whole), 1)
        count = math.ceil(len(whole[0]) / size)
        size = math.ceil(len(whole[0]) / count)  # all of about one size
        for start in range(0, len(whole[0]), size):
            rebatched.append([tensor[start : start + size] for tensor in whole])
    return rebatched


def _shapes_of(batch):
    return [tuple(tensor.shape[1:]) for tensor in batch]


def _largest(graph, inputs):
    """Returns the bytes of the largest tensor for one example, about."""
    symbolic, real = graph.inputs[0].shape[1:], inputs[0].shape[1:]
    # Where a model takes images of any size, tensors are guessed from the channels.
    unknown = max(
        (r for s, r in zip(symbolic, real, strict=True) if s is None), default=1
    )
    tensors = [*graph.inputs, *(t for call in graph.calls for t in call.outputs)]
    shapes = [tensor.shape[1:] for tensor in tensors if tensor.shape]
    return 4 * max(math.prod(n or unknown for n in shape) for shape in shapes)
