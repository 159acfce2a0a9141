"""Whether two networks return the same, up to rounding."""

import keras
import numpy as np

TINY = 1e-30  # outputs that are all smaller than this count as zero


def describe_difference(expected, received, tolerance):
    """Returns how outputs differ by more than rounding, or `None` if they do not.

    NaN and infinity are right where both networks return them.

    Args:
        expected: The (nested) outputs of one network.
        received: Those of the other.
        tolerance: Float, the largest difference as a share of the largest finite
            number in the same output of the first network.

    Returns:
        String, such as `"outputs of up to 3.1 that differ by up to 0.2"`, or `None`.
    """
    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(received), strict=True)
    for before, after in pairs:
        before, after = _to_array(before), _to_array(after)
        if before.shape != after.shape:
            return f"outputs of shape {after.shape} instead of {before.shape}"
        # Relative to the largest number, not to each: a sum that cancels to nearly
        # zero carries the rounding errors of its large summands.
        largest = np.abs(before[np.isfinite(before)]).max(initial=TINY)
        # `allclose` with a relative tolerance of 0: |before - after| <= tolerance *
        # largest.
        if not np.allclose(before, after, 0, tolerance * largest, equal_nan=True):
            with np.errstate(invalid="ignore"):  # infinity minus infinity
                off = np.where(before == after, 0, np.abs(before - after)).max()
            return f"outputs of up to {largest:.3g} that differ by up to {off:.3g}"
    return None


def _to_array(tensor):
    """Returns a tensor in float64: NumPy has no bfloat16."""
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))
