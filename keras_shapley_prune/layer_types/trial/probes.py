"""What a trial runs on: random inputs, and which channels of them are changed."""

import math

import numpy as np

# Each example has another scale: what looks at other channels only where they are
# large, small or zero shows in one of them.
SCALES = 1.0, 1e-3, 30.0, 1e3, 0.0
LENGTHS = (5, 4, 3, 2), (2, 3, 4, 5)  # of the positions, where they may be any
UNKNOWN = 32  # length of an axis that the model does not fix, if a small one fails
FEW_POSITIONS = 64
FEWEST_CHANGES = 10
_DRAWN = 262_139  # of more numbers, so many are repeated; a prime is no round length


def probe_shapes(shape):
    """Returns the shapes to try: lists, of which the first that can be run counts.

    Small ones come first, as they are fast. Of a layer that wants the positions it was
    built for, only the shape that it has in the model can be run.

    Args:
        shape: Tuple, the shape of what is read in the model, `None` where it is open.
    """
    batch, *positions, channels = shape
    batch = batch or len(SCALES)
    # More positions than there are small lengths have no small shape.
    cut = [found[: len(positions)] for found in LENGTHS]
    small = [(batch, *found, channels) for found in cut if len(found) == len(positions)]
    small = list(dict.fromkeys(small))
    known = [length or UNKNOWN for length in positions]
    actual = (min(batch, 2) if shape[0] is None else batch, *known, channels)
    if math.prod(known) <= FEW_POSITIONS:
        actual = batch, *known, channels
        return [list(dict.fromkeys([actual, *small]))]
    return [small, [actual]] if small else [[actual]]


def draw(generator, shape, turn=0):
    """Returns random numbers of both signs, at another scale in each example.

    Args:
        generator: A `np.random.Generator`.
        shape: Tuple, the batch first.
        turn: Integer, which scale the first example has.
    """
    scales = np.resize(np.roll(SCALES, -turn), shape[0])
    scales = scales.reshape(-1, *[1] * (len(shape) - 1))
    numbers = generator.standard_normal(min(math.prod(shape), _DRAWN), "float32")
    return np.resize(numbers, shape) * np.float32(scales)


def select_halves(num_channels):
    """Yields boolean arrays, shape `(num_channels,)`: which channels are changed.

    Each channel is changed while each other is not: the numbers of two channels differ
    in a binary digit. So twice the logarithm of their number is enough.

    Args:
        num_channels: Integer.
    """
    numbers = np.arange(num_channels)
    digits = max(num_channels - 1, 0).bit_length()
    for _ in range(math.ceil(FEWEST_CHANGES / max(2 * digits, 1)) if digits else 0):
        for digit in range(digits):
            ones = (numbers >> digit & 1).astype(bool)
            yield ones
            yield ~ones


def choose_parts(generator, num_channels, sizes):
    """Returns integer arrays: some of the channels, of several sizes and orders.

    Args:
        generator: A `np.random.Generator`.
        num_channels: Integer.
        sizes: Sequence of integers, how many channels there are in a part.
    """
    chosen = [generator.permutation(num_channels)[:size] for size in sizes]
    return [*map(np.sort, chosen), chosen[0]]


def part_sizes(num_channels):
    """Returns how many channels the parts have, each number once."""
    most, fewer = round(2 * num_channels / 3), num_channels // 3 | 1
    sizes = [size for size in (most, fewer, 1) if 0 < size < num_channels]
    return list(dict.fromkeys(sizes))
