"""Threads for NumPy's products: one for each product, several products at a time."""

import concurrent.futures
import functools
import os

import threadpoolctl


def one_blas_thread():
    """Returns a context in which a product or factorization of NumPy has one thread.

    The threads of BLAS wait for each other by spinning. On a machine that does
    something else too, two take many times as long as one, and TensorFlow's wait with
    them. Where there is work for several threads, see `in_parallel`.
    """
    return _libraries().limit(limits=1)


def in_parallel(function, *items):
    """Calls a function with each of some items, as many at a time as there are cores.

    Args:
        function: Callable that spends its time in NumPy, which lets other threads run.
        *items: Lists of one length, its arguments.
    """
    count = min(count_cores(), len(items[0]))
    if count < 2:
        for arguments in zip(*items, strict=True):
            function(*arguments)
        return
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for _ in pool.map(function, *items):  # an error in one is raised here
            pass


def count_cores():
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _libraries():
    # To look for them takes longer than most of what is done with them.
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
