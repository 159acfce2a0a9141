"""Tests of the compiled step of a group: it leaves nothing, and does not warn."""

import gc
import logging
import sys

import models
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker


@pytest.fixture(scope="module")
def rankings():
    """Returns what is there after each of three rankings, and what was logged."""
    codes, counts, records = {}, [], []

    def value(labels, outputs):
        frame = sys._getframe()
        while frame is not None:
            # The object is kept, so that no other one gets its id.
            codes[id(frame.f_code)] = frame.f_code
            frame = frame.f_back
        return outputs[:, 0]

    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    tf.get_logger().addHandler(handler)
    model, data = models.classifier(), models.labelled_images(4)
    for _ in range(3):
        ShapleyRanker(value, "gradient").rank(model, data, verbose=0)
        gc.collect()
        counts.append((len(codes), len(context.context().list_function_names())))
    tf.get_logger().removeHandler(handler)
    return *zip(*counts, strict=True), [record.getMessage() for record in records]


@pytest.mark.slow
def test_all_steps_are_traced_from_the_same_code(rankings):
    # TensorFlow does not free all stacks of code objects it has traced from.
    codes, _, _ = rankings
    # The first ranking may pass through code that is run once in a process.
    assert codes[2] == codes[1] > 0


def test_no_functions_of_tensorflow_are_left(rankings):
    _, functions, _ = rankings
    assert functions[2] == functions[1]


def test_many_groups_are_no_reason_to_warn_of_retracing(rankings):
    _, _, messages = rankings
    assert not [message for message in messages if "retracing" in message]


def test_functions_that_run_eagerly_are_not_traced():
    outputs_seen = []

    def value(labels, outputs):
        outputs_seen.append(outputs)
        return outputs[:, 0]

    model, data = models.classifier(), models.labelled_images(4)
    ranker = ShapleyRanker(value, "gradient")
    tf.config.run_functions_eagerly(True)
    try:
        ranker.rank(model, data, layers="hidden", verbose=0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert outputs_seen
    assert all(hasattr(outputs, "numpy") for outputs in outputs_seen)
