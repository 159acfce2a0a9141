"""What images are usually made into, so that a message can name what was meant."""

import keras
import numpy as np

# From pixels of 0..255; the last ones from 0..1.
_SCALES = {
    "no --rescale": (1.0, 0.0),
    "--rescale 1/255": (1 / 255, 0.0),
    "--rescale 1/127.5 --offset=-1": (1 / 127.5, -1.0),
    # The means and standard deviations of ImageNet, alike in all three colors.
    "--rescale 1/57.6 --offset=-1.99": (1 / 57.6, -1.99),
    "--rescale 255": (255.0, 0.0),
    "--rescale 2 --offset=-1": (2.0, -1.0),
}


def find_scale(x, rescale, offset, fits):
    """Returns the options of a usual scale that fits, or `None`.

    Args:
        x: Array of examples, or arrays in the structure of the model's inputs.
        rescale: Float, by what they have been multiplied.
        offset: Float, what has been added to them then.
        fits: Callable: x -> whether examples are as they should be.
    """
    raw = keras.tree.map_structure(
        lambda array: (np.asarray(array, "float32") - offset) / rescale, x
    )
    for options, (factor, shift) in _SCALES.items():
        if (factor, shift) == (rescale, offset):
            continue
        scaled = keras.tree.map_structure(lambda a, f=factor, s=shift: a * f + s, raw)
        if (factor == 1 or _look_like_images(scaled)) and fits(scaled):
            return options
    return None


def find_range(x):
    """Returns the lowest and the highest value of arrays, see `find_scale`."""
    parts = keras.tree.flatten(x)
    return min(map(np.min, parts)), max(map(np.max, parts))


def _look_like_images(x):
    low, high = find_range(x)
    return 0.5 <= high - low <= 6 or 128 <= high - low <= 255
