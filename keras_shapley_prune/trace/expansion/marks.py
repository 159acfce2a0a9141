"""Primes that stand for sizes which symbolic tensors leave open."""

import keras

from keras_shapley_prune.trace.graph import is_symbolic

# For lengths short ones too: a table of positions may be as short.
PRIMES = 1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061
_LENGTHS = None, 61, 13, 5, 3
_PARTS = 144  # of examples: code may take several windows of an image to be one each


def choose_marks(layer, args, kwargs):
    """Returns what may stand for the open sizes of what a layer reads.

    Args:
        layer: The layer.
        args: Tuple, what it is called with, symbolic tensors among it.
        kwargs: Dict, the same by name.

    Returns:
        List of dicts: prime -> position among the symbolic tensors, the axis, and how
        many times the prime its length is. The first is of the number of examples only.
    """
    leaves = keras.tree.flatten((args, kwargs))
    shapes = [tuple(leaf.shape) for leaf in leaves if is_symbolic(leaf)]
    batches = [n for n, shape in enumerate(shapes) if shape and shape[0] is None]
    if not batches:
        return []
    known = {n for shape in shapes for n in shape if n}
    known |= {n for weight in layer.weights for n in weight.shape}
    primes = [p for p in PRIMES if not any(n % p == 0 for n in known)]
    batch = {primes[0]: (batches[0], 0, 1)}
    lengths = [
        (n, axis, 1)
        for n, shape in enumerate(shapes)
        for axis in range(1, len(shape))
        if shape[axis] is None
    ]
    if not lengths or len(lengths) >= len(primes):
        return [batch, {primes[0]: (batches[0], 0, _PARTS)}]
    found = [batch, {primes[0]: (batches[0], 0, _PARTS)}]
    for short in _LENGTHS:
        if short is None:  # each its own
            found.append(batch | dict(zip(primes[1:], lengths, strict=False)))
        # All of them alike, as if they were of one sequence.
        if len(lengths) > 1 or short:
            found.append(batch | {short or primes[1]: lengths[0]})
    return found


def shrink(length):
    """Returns a length as it may be in truth, where a mark stands in it."""
    for prime in PRIMES:
        if length % prime == 0:
            length = length // prime * 2
    return length


def fix_sizes(tensors, marks):
    """Returns symbolic tensors with marks in the place of open sizes.

    Args:
        tensors: List of symbolic tensors.
        marks: Dict, see `choose_marks`.
    """
    places = {place[:2]: prime for prime, place in marks.items()}
    batch = next(p * parts for p, (_, axis, parts) in marks.items() if axis == 0)
    others = [prime for prime, (_, axis, _) in marks.items() if axis > 0]

    def length_of(n, axis, length):
        if length is not None or not (axis == 0 or others):
            return length
        return batch if axis == 0 else places.get((n, axis), others[0])

    return [
        keras.KerasTensor(
            [length_of(n, axis, x) for axis, x in enumerate(tensor.shape)],
            tensor.dtype,
            name=tensor.name,
        )
        for n, tensor in enumerate(tensors)
    ]
