"""How much is read of data that does not say how long it is."""

import math

import keras

# Of a generator nothing tells whether it ends. 50 to 200 examples are enough to prune,
# and what these bounds refuse has a form that is not bounded.
MAX_EXAMPLES = 100_000
MAX_BYTES = 2**31


def limit(batches, name="dataset", kind="a generator"):
    """Yields batches, and raises an error after too many of them.

    Args:
        batches: Iterable of batches, nested arrays, tensors or anything else.
        name: String, the argument that they come from.
        kind: String, what they come from.

    Raises:
        ValueError: If there are more than `MAX_EXAMPLES` examples, or all of them
            together are larger than `MAX_BYTES`.
    """
    num_examples = num_bytes = 0
    for batch in batches:
        leaves = [leaf for leaf in keras.tree.flatten(batch) if hasattr(leaf, "shape")]
        # An empty batch counts as well: of these, too, there may be no end.
        num_examples += max([_length(leaf) for leaf in leaves], default=1)
        num_bytes += sum(map(_count_bytes, leaves))
        if num_examples > MAX_EXAMPLES or num_bytes > MAX_BYTES:
            raise endless(f"{kind} that goes on after {num_examples:,} examples", name)
        yield batch


def endless(received, name="dataset"):
    """Returns the error of data without an end.

    Args:
        received: String, what was given.
        name: String, the argument that it was given for.
    """
    return ValueError(
        f"Argument `{name}` should be finite: give a part of it, of a generator "
        "`itertools.islice(generator, num_batches)`, of a tf.data.Dataset "
        f"`{name}.take(num_batches)`; 50 to 200 examples are enough to prune. A "
        f"generator may have {MAX_EXAMPLES:,} examples and {MAX_BYTES / 2**30:.3g} GiB;"
        " arrays, and a `keras.utils.PyDataset` or tf.data.Dataset of known length, "
        f"may have more. Received: {received}"
    )


def _length(leaf):
    return max(int(leaf.shape[0]), 1) if len(leaf.shape) else 1


def _count_bytes(leaf):
    if hasattr(leaf, "nbytes"):
        return leaf.nbytes
    # Of a tensor; a string counts as little more than its pointer.
    return math.prod(leaf.shape) * getattr(leaf.dtype, "size", 8)
