"""Random flips and shifts of images, and mixtures of two."""

import numpy as np
import tensorflow as tf

MAX_SHIFT = 4  # pixels; an eighth of the height or width if that is less
MIXED = 0.3  # the share of the other image in a mixture


def augment(arrays, generator):
    """Flips and shifts images at random, each example in its own way.

    What moves in from the side is reflected.

    Args:
        arrays: List of arrays, the inputs. Those of rank 4 are images, the channels
            last.
        generator: A NumPy generator.

    Returns:
        List of arrays of the same shapes.
    """
    return move(arrays, *draw_moves(len(arrays[0]), generator))


def draw_moves(num_examples, generator):
    """Returns how far examples are shifted, and which are flipped.

    Returns:
        Tuple of a float array, shape `(2, num_examples)`, shares of the largest shift
        down and to the right, and a boolean array, shape `(num_examples,)`.
    """
    shifts = generator.uniform(-1, 1, (2, num_examples))
    return shifts, generator.random(num_examples) < 0.5


def move(arrays, shifts, flipped):
    """Returns arrays of which the images are moved as `draw_moves` tells."""
    return [_move(a, shifts, flipped) if a.ndim == 4 else a for a in arrays]


def mix_at_random(arrays, generator):
    """Mixes each example with another of the batch, in shares drawn from 0 to 1.

    After "mixup: Beyond Empirical Risk Minimization" (Zhang et al., 2018,
    https://arxiv.org/abs/1710.09412), without its labels.

    Args:
        arrays: List of arrays, the inputs. Those of rank 4 with floats are mixed, all
            with the same others.
        generator: A NumPy generator.

    Returns:
        List of arrays of the same shapes and dtypes.
    """
    others = generator.permutation(len(arrays[0]))
    shares = generator.uniform(size=(len(others), 1, 1, 1))
    return [
        a + shares.astype(a.dtype) * (a[others] - a) if _can_mix(a) else a
        for a in arrays
    ]


def mix_pairs(tensor):
    """Returns images to each of which a share of another of the batch is added.

    Args:
        tensor: Tensor. It is returned as it is unless it is a batch of images.
    """
    if not _can_mix(tensor):
        return tensor
    others = tf.roll(tensor, tensor.shape[0] // 2, axis=0)  # often of another class
    return (1 - MIXED) * tensor + MIXED * others


def _can_mix(images):
    return len(images.shape) == 4 and tf.as_dtype(images.dtype).is_floating


def _move(images, shifts, flipped):
    rows, columns = map(_positions, images.shape[1:3], shifts)
    columns[flipped] = columns[flipped, ::-1]
    examples = np.arange(len(images))[:, None, None]
    return images[examples, rows[:, :, None], columns[:, None, :]]


def _positions(length, shifts):
    """Returns where each example's rows (or columns) come from after a shift."""
    furthest = min(MAX_SHIFT, length // 8)
    reflected = np.pad(np.arange(length), furthest, mode="reflect")
    starts = furthest + np.rint(furthest * shifts).astype(int)
    return reflected[starts[:, None] + np.arange(length)]
