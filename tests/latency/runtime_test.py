"""Tests of runtimes: what they are asked for, and what they say of themselves."""

import dataclasses
import json
import sys
import time

import block_models
import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.latency import runtime as module
from keras_shapley_prune.latency.runtime import (
    Runtime,
    describe_runtime,
    resolve_runtime,
)


def needs_litert():
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "onnx"}, r"`name` should be one of \['tensorflow', 'litert'\]"),
        ({"batch_size": 0}, "`batch_size` should be an integer, at least 1"),
        ({"name": "litert", "threads": 0}, "`threads` should be an integer, at least"),
        ({"threads": 1}, "`threads` should be None for the runtime 'tensorflow'"),
        ({"int8": True}, "`int8` should be False for the runtime 'tensorflow'"),
        ({"name": "litert", "int8": 1}, "`int8` should be True or False"),
        ({"folded": 1}, "`folded` should be True or False"),
        (
            {"name": "litert", "folded": True},
            "`folded` should be False for the runtime 'litert'",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Runtime(**arguments)


def test_numbers_of_numpy_are_taken():
    four = np.int64(4)
    runtime = Runtime("litert", four, four, np.bool_(True))
    assert runtime == Runtime("litert", 4, 4, True)
    assert json.loads(json.dumps(dataclasses.asdict(runtime)))["threads"] == 4


def test_what_it_says_of_itself(monkeypatch):
    monkeypatch.setattr(module, "find_processor", lambda: "a processor")
    monkeypatch.setattr(module, "count_tensorflow_threads", lambda: 3)
    monkeypatch.setattr(module, "runs_alone", lambda: False)
    monkeypatch.setattr(module, "litert_version", lambda: "2.3.0")
    described = Runtime(batch_size=32).describe()
    version = tf.__version__
    assert described == f"TensorFlow {version}, batch of 32, 3 threads, a processor"
    described = Runtime("litert").describe()
    lite, one = "LiteRT 2.3.0 (XNNPACK)", "1 thread (processor time)"
    assert described == f"{lite}, float32, batch of 1, {one}, a processor"
    monkeypatch.setattr(module, "count_tensorflow_threads", lambda: 1)
    monkeypatch.setattr(module, "runs_alone", lambda: True)
    described = Runtime().describe()
    assert described == f"TensorFlow {version}, batch of 1, {one}, a processor"
    described = Runtime(folded=True).describe()
    folded = f"TensorFlow {version}, normalizations folded, batch of 1"
    assert described == f"{folded}, {one}, a processor"
    assert Runtime(folded=True).title == "TensorFlow folded"
    described = Runtime("litert", 2, 4, True).describe()
    assert described == f"{lite}, int8, batch of 2, 4 threads, a processor"


def test_one_thread_is_timed_by_what_the_processor_spends(monkeypatch):
    assert Runtime("litert").clock is Runtime("litert", threads=1).clock
    assert Runtime("litert").clock is time.thread_time
    assert Runtime("litert", threads=2).clock is time.perf_counter
    for alone, clock in ((True, time.process_time), (False, time.perf_counter)):
        monkeypatch.setattr(module, "runs_alone", lambda alone=alone: alone)
        assert Runtime().clock is clock


def test_what_names_a_runtime():
    needs_litert()
    assert resolve_runtime("tensorflow") == Runtime()
    assert resolve_runtime("litert") == Runtime("litert")
    own = Runtime("litert", threads=2)
    assert resolve_runtime(own) is own

    def on_my_phone(model):
        return 0.01

    assert resolve_runtime(on_my_phone) is on_my_phone
    assert describe_runtime(on_my_phone) == "the function 'on_my_phone'"
    assert describe_runtime(own) == own.describe()


@pytest.mark.parametrize("wrong", ["phone", None, 3, Runtime, keras.Sequential(), {}])
def test_what_names_none(wrong):
    message = "`runtime` should be one of .* Received: runtime="
    with pytest.raises(ValueError, match=message):
        resolve_runtime(wrong, "runtime")


def test_without_the_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        resolve_runtime("litert")
    assert resolve_runtime("tensorflow") == Runtime()


def test_what_is_loaded_can_be_run():
    needs_litert()
    model = models.build(models.chain)
    for runtime in (Runtime(), Runtime("litert")):
        run = runtime.load(model)
        assert run() is None
        assert (run.file_size is None) == (runtime.name == "tensorflow")


def test_what_is_folded_is_what_runs(monkeypatch):
    model = models.build(block_models.normalized_blocks)
    loaded = []
    monkeypatch.setattr(module, "load_tensorflow", lambda *args: loaded.append(args[0]))
    for folded in (False, True):
        Runtime(folded=folded).load(model)
    normalization = keras.layers.BatchNormalization
    counts = [sum(isinstance(x, normalization) for x in m.layers) for m in loaded]
    assert counts == [8, 0]


def test_a_model_without_a_graph():
    with pytest.raises(ValueError, match="Argument `model` should be a built"):
        Runtime().load(models.Subclassed())
