"""As many threads for NumPy's products and factorizations as they are worth."""

import contextlib
import functools

import threadpoolctl

LARGE = 1024  # columns of a matrix from which on more threads than one pay


def suited_threads(num_columns):
    """Returns a context in which BLAS has one thread, unless matrices are large.

    The threads of BLAS wait for each other by spinning. On a machine that does
    something else too, small matrices take many times as long with two as with one.

    Args:
        num_columns: Integer, of the matrices at hand.
    """
    if num_columns >= LARGE:
        return contextlib.nullcontext()
    return _libraries().limit(limits=1)


@functools.cache
def _libraries():
    # To look for them takes longer than most of what is done with them.
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
