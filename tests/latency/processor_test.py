"""Tests of what measurements say that they were done with."""

import os

import pytest
import tensorflow as tf

from keras_shapley_prune.latency.processor import (
    count_tensorflow_threads,
    find_processor,
    runs_alone,
)


def test_the_processor_has_a_name():
    assert find_processor()


@pytest.mark.parametrize(
    ("chosen", "environment", "expected"),
    [(3, "5", 3), (0, "5", 5), (0, "0", "cores"), (0, None, "cores")],
)
def test_threads_of_tensorflow(chosen, environment, expected, monkeypatch):
    threading = tf.config.threading
    monkeypatch.setattr(
        threading, "get_intra_op_parallelism_threads", lambda: chosen, raising=True
    )
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    if environment is not None:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", environment)
    if expected == "cores":
        expected = len(os.sched_getaffinity(0))
    assert count_tensorflow_threads() == expected


@pytest.mark.parametrize(
    ("within", "among", "gpus", "expected"),
    [(1, 1, [], True), (2, 1, [], False), (1, 2, [], False), (1, 1, ["GPU:0"], False)],
)
def test_whether_there_is_one_thread(within, among, gpus, expected, monkeypatch):
    threading = tf.config.threading
    monkeypatch.setattr(threading, "get_intra_op_parallelism_threads", lambda: within)
    monkeypatch.setattr(threading, "get_inter_op_parallelism_threads", lambda: among)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert runs_alone() == expected
