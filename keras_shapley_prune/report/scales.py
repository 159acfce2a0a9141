"""The axis of scores: its range, whether it is logarithmic, and its round numbers."""

import math

import numpy as np

_FAR_BELOW = 100  # times less than the median


def find_limits(values, errors):
    """Returns the range of the axis, and whether it is logarithmic.

    On a logarithmic axis the lowest values may be outside of it.

    Args:
        values: Float array, of which some may be NaN.
        errors: Float array of that shape, how far the bars at the values reach.

    Returns:
        Tuple of two floats, the second one above the first one, and a boolean.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0, False
    low, high = finite.min(), finite.max()
    # Error bars do not count here: one that reaches zero would forbid a logarithm.
    if low > 0 and high / low > 5:
        # Units that do nothing are worth a millionth of others, which they would press
        # into a line at the upper edge.
        low = finite[finite >= np.median(finite) / _FAR_BELOW].min()
        return low / 1.25, high * 1.25, True
    known = np.isfinite(values)
    low, high = (values - errors)[known].min(), (values + errors)[known].max()
    # If all values are equal, there is no range to take a share of.
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin, False


def find_ticks(low, high, logarithmic):
    """Returns two to five round numbers between two others.

    Args:
        low: Float.
        high: Float, above `low`.
        logarithmic: Boolean, whether the axis is.
    """
    if logarithmic:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        # Powers of ten, and more of each decade where fewer than two are in the range.
        for digits in ((1,), (1, 3), (1, 2, 5)):
            ticks = [d * 10.0**e for e in exponents for d in digits]
            ticks = [tick for tick in ticks if low <= tick <= high]
            if len(ticks) >= 2:
                return ticks[:: -(-len(ticks) // 5)]
    # At least three steps fit into the range; if many do, they are made wider.
    step = 10.0 ** math.floor(math.log10(high - low))
    while (high - low) / step < 3:
        step /= 2
    step *= max(1, round((high - low) / step / 4))
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def format_tick(value):
    """Returns a short label of a number.

    Args:
        value: Float.
    """
    if value and not 0.01 <= abs(value) < 10_000:
        digits, _, exponent = f"{value:.2e}".partition("e")
        text = f"{float(digits):g}e{int(exponent)}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "−")
