"""Layers of users that do what `Dropout` does, such as stochastic depth."""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.held_state import HeldState

NUM_EXAMPLES = 64
NUM_DRAWS = 24


def find_dropout(layer, shape):
    """Returns the `Dropout` that does what a layer without weights does, or `None`.

    In inference the layer has to return what it reads; in training parts of that are
    zero at random, and the others are larger by one factor.

    Args:
        layer: The layer. Its call takes one tensor and `training`.
        shape: Tuple, the shape that it reads, `None` for lengths that are not fixed.
    """
    lengths = [NUM_EXAMPLES, *(length or 3 for length in shape[1:])]
    inputs = np.random.default_rng(0).uniform(1, 2, lengths).astype("float32")
    inputs = keras.ops.cast(inputs, layer.compute_dtype)
    with HeldState():  # the seeds of the layer are where they were afterwards
        same = layer(inputs, training=False)
        if not np.array_equal(_array(same), _array(inputs)):
            return None
        drawn = [_array(layer(inputs, training=True)) for _ in range(NUM_DRAWS)]
    if any(values.shape != tuple(lengths) for values in drawn):
        return None
    factors = np.stack(drawn).astype("float64") / _array(inputs)
    rate = _find_rate(factors)
    if rate is None:
        return None
    noise = [_is_drawn_along(factors, axis + 1) for axis in range(len(lengths))]
    return layers.Dropout(
        rate,
        noise_shape=None if all(noise) else [None if own else 1 for own in noise],
        dtype=layer.dtype_policy,
        name=layer.name,
    )


def _find_rate(factors):
    """Returns the share of what is dropped, `None` if the rest is not scaled by it."""
    kept = factors[factors != 0]
    if not kept.size or np.ptp(kept) > 0.02 * kept.min() or kept.min() < 0.99:
        return None
    rate = max(0.0, round(1 - 1 / np.median(kept), 6))
    # How many are dropped is random; neighbours may be dropped together.
    spread = np.sqrt(rate * (1 - rate) / (NUM_DRAWS * NUM_EXAMPLES))
    per_example = (factors == 0).mean(axis=tuple(range(2, factors.ndim)))
    return rate if abs(per_example.mean() - rate) <= 6 * spread + 1e-6 else None


def _is_drawn_along(factors, axis):
    """Returns whether positions along an axis are dropped one by one."""
    first = np.take(factors, [0], axis)
    return not ((factors == 0) == (first == 0)).all()


def _array(tensor):
    return keras.ops.convert_to_numpy(tensor)
