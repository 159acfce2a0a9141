"""Whether the numbers that statistics are taken of are finite."""

import numpy as np


def check_finite_inputs(symbolic, batches):
    """Raises a `ValueError` that names input and example unless all data is finite.

    Args:
        symbolic: Sequence of the model's symbolic inputs.
        batches: Iterable of lists of input tensors, one list a batch, in the order of
            `symbolic`.
    """
    first = 0
    for inputs in batches:
        for tensor, value in zip(symbolic, inputs, strict=True):
            # A compiled ReLU makes 0 of what is not a number: later it is not seen.
            found = find_not_finite(value)
            if found is not None:
                at, number = found
                raise ValueError(
                    "Expected finite values as calibration data. Received: "
                    f"{number} for input {tensor.name!r}, in example {first + at[0]} "
                    f"(counted from 0), as {tensor.dtype}"
                )
        first += int(inputs[0].shape[0])


def find_not_finite(values):
    """Returns where the first number that is not finite stands, and that number.

    Args:
        values: Array or tensor, of any dtype.

    Returns:
        Tuple of the position, a tuple of integers, and a float. `None` if all numbers
        are finite, or what it holds are no floats.
    """
    values = np.asarray(values)
    # NumPy does not know of bfloat16 that it is one of floats.
    floats = values.dtype.kind in "fc" or "float" in values.dtype.name
    if not floats or np.isfinite(values).all():
        return None
    at = np.unravel_index(np.flatnonzero(~np.isfinite(values))[0], values.shape)
    return tuple(map(int, at)), float(values[at])
