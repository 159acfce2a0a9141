"""Settings and fixtures of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_session():
    """Starts every test with the same seed and with Keras's name counters at zero."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
