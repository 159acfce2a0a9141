"""Seeds with which tests start, while TensorFlow keeps the kernels it has made."""

import collections
import os
import random
from unittest import mock

import keras
from tensorflow.python.eager import context

_num_starts = collections.Counter()  # test -> how often it has started anew


def clear_session():
    """As `keras.utils.clear_session`, but for the kernels."""
    with _kept_kernels():
        keras.utils.clear_session(free_memory=False)


def set_seed(seed):
    """As `keras.utils.set_random_seed`, but for the kernels.

    TensorFlow makes a kernel for each operation and type at its first call, and would
    throw all of them away here: to make them again takes a third of the time of a
    typical test. It does so because a kernel that draws goes on in its own stream when
    it meets the same seed again. Here it never does: the seeds that TensorFlow gives
    its operations are others for each test, and at each call of this function in it.

    Args:
        seed: Integer, of Python, NumPy and Keras.
    """
    with _kept_kernels():
        keras.utils.set_random_seed(seed)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]  # not the phase
    _num_starts[test] += 1
    context.context()._rng = random.Random(f"{seed} {test} {_num_starts[test]}")


def _kept_kernels():
    module, name = context.pywrap_tfe, "TFE_ContextClearCaches"
    return mock.patch.object(module, name, lambda engine: None)
