"""Fits measured times of pieces, and of whole networks, to what they depend on."""

import numpy as np
import scipy.optimize

from keras_shapley_prune.latency.width_mixes import STEPS

_EXCESS = 1.05  # by how much numbers that a runtime does not like take more than others


def fit_pieces(counts, times, kinds, floor):
    """Finds what each feature of each piece takes.

    Args:
        counts: Float array, shape `(mixes, pieces, features)`, see `LatencyCosts`.
        times: Float array, shape `(mixes, pieces)`, seconds; NaN if not measured.
        kinds: List of lists of pieces that are alike and share their measurements.
        floor: Float, seconds that cannot be told from none.

    Returns:
        Float array of at least 0, shape `(pieces, features)`, seconds of one.
    """
    factors = np.zeros(counts.shape[1:])
    for numbers in kinds:
        chosen = np.isfinite(times[:, numbers])
        seconds = times[:, numbers][chosen]
        if not len(seconds):
            continue
        # Relative errors, but what is below the clock's own is all the same.
        weights = 1 / (seconds + floor)
        rows = counts[:, numbers][chosen] * weights[:, np.newaxis]
        largest = np.maximum(rows.max(axis=0), 1e-300)
        found, _ = scipy.optimize.nnls(rows / largest, seconds * weights)
        factors[numbers] = found / largest
    return factors


def find_step(counts, times, steps, kinds, floor):
    """Finds of which multiples the numbers of units should be.

    Args:
        counts: See `fit_pieces`; of what knows nothing of steps.
        times: See `fit_pieces`.
        steps: Integer array, shape `(mixes,)`, the step of each, see `WidthMix`.
        kinds: See `fit_pieces`.
        floor: See `fit_pieces`.

    Returns:
        Integer, the smallest step at which pieces take what the largest lets expect.
    """
    largest = steps == STEPS[0]
    expected = counts * fit_pieces(counts[largest], times[largest], kinds, floor)
    expected, found = expected.sum(axis=2), STEPS[0]
    for step in STEPS[1:]:
        measured = np.isfinite(times) & (steps == step)[:, np.newaxis]
        if not measured.any():
            break
        if times[measured].sum() > _EXCESS * expected[measured].sum():
            break
        found = step
    return found


def scale_to_whole(counts, factors, whole, fixed, overhead):
    """Finds what makes sums of pieces those of whole networks.

    What depends on the widths gets one scale, and what is the same in all networks
    another: a piece that is timed alone, such as the scaling of the images, may take
    a multiple of what it adds to a network, into whose first convolution it is fused.

    Args:
        counts: See `fit_pieces`.
        factors: What `fit_pieces` returned.
        whole: List of the seconds of the whole networks; `None` if not measured.
        fixed: Boolean array, shape `(pieces, features)`, what no unit changes.
        overhead: Float, the seconds of a call by itself.

    Returns:
        Tuple of a float array, shape `(pieces, features)`, by which to scale the
        factors, and the seconds of a call beside the pieces.
    """
    known = [i for i, seconds in enumerate(whole) if seconds is not None]
    if not known:
        return np.ones(factors.shape), overhead
    seconds = np.array([whole[i] for i in known])
    varying = (counts[known] * factors)[:, ~fixed].sum(axis=1)
    rows = np.stack([varying, np.full(len(known), seconds[0])], axis=1)
    found, _ = scipy.optimize.nnls(rows / seconds[:, np.newaxis], np.ones(len(known)))
    if not found[0]:  # whole networks take the same whatever is in them
        return np.zeros(factors.shape), float(seconds.mean())
    # What is fixed is in the constant.
    return np.where(fixed, 0.0, found[0]), float(found[1] * seconds[0])
