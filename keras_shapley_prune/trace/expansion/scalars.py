"""NumPy's numbers beside symbolic tensors."""

import contextlib

import keras
import numpy as np

OPERATORS = [
    f"__{side}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod")
    for side in ("", "r")
]


@contextlib.contextmanager
def plain_numbers():
    """Lets symbolic tensors take a number of NumPy for one of Python.

    A tensor of TensorFlow does: `scores / np.sqrt(width)` is of the type of `scores`.
    A symbolic one becomes float64, and the graph with it, which LiteRT cannot hold.
    """
    known = {name: getattr(keras.KerasTensor, name) for name in OPERATORS}
    for name, operator in known.items():
        setattr(keras.KerasTensor, name, _with_plain_number(operator))
    try:
        yield
    finally:
        for name, operator in known.items():
            setattr(keras.KerasTensor, name, operator)


def _with_plain_number(operator):
    def apply(tensor, other):
        is_number = isinstance(other, (np.floating, np.integer))
        return operator(tensor, other.item() if is_number else other)

    return apply
