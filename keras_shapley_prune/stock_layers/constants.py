"""Constants of an operation that may belong to single channels."""

import numpy as np


def forbid_arrays(*names):
    """Returns the `unfit` check that attributes of an operation are plain numbers."""

    def unfit(call):
        values = [getattr(call.operation, name) for name in names]
        return "has an array of constants" if any(map(np.ndim, values)) else None

    return unfit
