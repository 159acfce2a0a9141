"""How the values of a unit on each example become its score."""

import re

import numpy as np


def resolve_reduction(reduction):
    """Returns the function that reduces samples over the examples.

    Args:
        reduction: `"mean"`, `"rms"` (root of the mean square), `"mean+2std"` (or any
            other factor), or a callable: float array of shape
            `(num_examples, num_units)` -> `(num_units,)`. Where windows are played an
            example may lack a unit: the entry is NaN.

    Returns:
        `None` for the mean, else the callable.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(reduction, str) and reduction == "mean":
        return None
    if callable(reduction):
        return reduction
    if isinstance(reduction, str) and reduction == "rms":
        return lambda samples: np.sqrt(_mean(samples**2))
    number = r"mean\+(\d+\.?\d*|\.\d+|)std"
    found = isinstance(reduction, str) and re.fullmatch(number, reduction)
    if not found:
        raise ValueError(
            "Argument `reduction` should be 'mean', 'rms', 'mean+2std' (with any "
            "factor) or a callable: samples of shape (num_examples, num_units) -> "
            f"(num_units,). Received: reduction={reduction!r}"
        )
    # "mean+std" has no number.
    factor = float(found[1] or 1)

    def mean_plus_deviation(samples):
        mean = _mean(samples)
        return mean + factor * np.sqrt(_mean((samples - mean) ** 2))

    return mean_plus_deviation


def reduce_table(table, reduce):
    """Returns the score of each unit and its standard error.

    The error of anything but the mean is a jackknife over the examples (Efron and
    Stein 1981).

    Args:
        table: A `SampleTable`.
        reduce: What `resolve_reduction` returned.

    Returns:
        Tuple of two float arrays, shape `(num_units,)`.

    Raises:
        ValueError: If `reduce` returns something else than a finite number a unit.
    """
    if reduce is None:
        return table.estimate()
    samples = table.samples
    values = np.asarray(reduce(samples), dtype="float64")
    if values.shape != samples.shape[1:]:
        raise ValueError(
            "Argument `reduction` should return one number for each unit, shape "
            f"{samples.shape[1:]}. Received: shape {values.shape}"
        )
    # A unit that no example has a sample of cannot have a score.
    wrong = ~np.isfinite(values) & np.isfinite(samples).any(axis=0)
    if wrong.any():
        unit = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            "Argument `reduction` should return finite numbers; where windows are "
            "played, samples that an example lacks are NaN. "
            f"Received: {values[unit]} for unit {unit} of a group"
        )
    count = len(samples)
    if count < 2:
        return values, np.full_like(values, np.inf)
    # With θ_r the score without example r, the variance is (R - 1) / R Σ (θ_r - mean
    # θ)².
    without = np.stack([reduce(np.delete(samples, i, axis=0)) for i in range(count)])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return values, np.sqrt(spread * (count - 1) / count)


def _mean(samples):
    """Returns the mean over the examples that have a sample; NaN if there is none."""
    with np.errstate(invalid="ignore"):
        return np.nansum(samples, axis=0) / np.sum(np.isfinite(samples), axis=0)
