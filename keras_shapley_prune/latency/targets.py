"""What an argument `target` may be: runtimes, functions, and tables made before."""

import os

from keras_shapley_prune.inputs.arguments import blaming
from keras_shapley_prune.latency.latency_table import LatencyTable
from keras_shapley_prune.latency.runtime import resolve_runtime


def resolve_target(target):
    """Returns what an argument `target` stands for.

    Args:
        target: `None` or `"tensorflow"`, `"litert"`, a `Runtime`, a function that takes
            a `keras.Model` and returns seconds, a `LatencyTable`, or the path of a
            table's `.json` file.

    Returns:
        A `Runtime`, a function, or a `LatencyTable`.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If it is none of these, or the file is none.
    """
    if target is None:
        return resolve_runtime("tensorflow")
    if isinstance(target, LatencyTable):
        return target
    is_text = isinstance(target, str) and target.endswith(".json")
    if is_text or isinstance(target, os.PathLike):
        with blaming("path", "target"):
            return LatencyTable.load(target)
    return resolve_runtime(target)
