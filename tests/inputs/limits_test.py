"""Tests of how much is read of what may have no end."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.inputs import limits


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMPLES", 100)


def _count(batches):
    """Returns how many batches are read before the error."""
    read = 0
    with pytest.raises(ValueError, match=r"should be finite.*itertools\.islice\(gen"):
        for _ in limits.limit(batches):
            read += 1
    return read


def test_examples_are_bounded(few):
    assert _count(itertools.repeat(np.zeros((8, 2)))) == 12
    assert _count(itertools.repeat((np.zeros((8, 2)), np.zeros(8)))) == 12
    assert _count(itertools.repeat({"a": tf.zeros((8, 2))})) == 12
    assert _count(itertools.repeat([np.zeros((8, 2)), None])) == 12


@pytest.mark.parametrize("batch", [np.zeros((0, 2)), 1.0, (), None, "text"])
def test_what_holds_no_examples_is_bounded_too(few, batch):
    assert _count(itertools.repeat(batch)) == 100


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, 500)),
        tf.zeros((2, 500), tf.float64),
        np.zeros((2, 1000), "float32"),
    ],
)
def test_bytes_are_bounded(monkeypatch, batch):
    monkeypatch.setattr(limits, "MAX_BYTES", 100_000)
    assert _count(itertools.repeat(batch)) == 12


def test_what_ends_in_time_is_read_whole(few):
    batches = [np.zeros((50, 2))] * 2
    assert list(limits.limit(batches)) == batches


def test_the_message_names_the_argument_and_what_was_read(few):
    with pytest.raises(ValueError) as raised:
        list(limits.limit(itertools.repeat(np.zeros((30, 2))), "validation_data"))
    message = str(raised.value)
    assert "Argument `validation_data` should be finite" in message
    assert "Received: a generator that goes on after 120 examples" in message
