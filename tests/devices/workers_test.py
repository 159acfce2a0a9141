"""Tests of the processes of a strategy, in processes of their own."""

import models
import numpy as np
import pytest
import spread
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune.devices.workers import Workers, current_workers


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(one, marks=[] if one == "workers-2" else pytest.mark.slow)
        for one in spread.STRATEGIES
    ],
)
def test_sums_are_those_of_all_workers(strategy, tmp_path):
    kind, _, number = strategy.partition("-")
    count = int(number) if kind == "workers" else 1
    replicas = int(number) if kind == "mirrored" else 1
    processes = spread.start_all("spread_sums", tmp_path, strategy)
    spread.finish(processes)
    for task in range(len(processes)):
        found = spread.load(tmp_path, strategy, task)
        np.testing.assert_array_equal(found["taken"], np.ones(5))
        np.testing.assert_array_equal(found["numbers"], [[sum(range(count)), np.inf]])
        assert found["agreed"] == 7.5
        np.testing.assert_array_equal(found["everyone"][:, 0], np.arange(count))
        assert found["replicas"] == replicas
        np.testing.assert_array_equal(found["rows"], np.ones(8))
        if count > 1:
            assert "in: seed" in str(found["refused"])
            assert "workers [1" in str(found["refused"])
        else:
            assert "refused" not in found
        for size in (1, 2, 3, 11):
            doubled, places = np.split(found[f"batch {size}"], 2)
            np.testing.assert_array_equal(doubled, 2 * np.arange(size))
            assert len(set(places)) == min(size, replicas)


def test_without_a_strategy_there_is_one_worker():
    workers = current_workers()
    assert workers.count == 1 and workers.is_chief and workers.takes(17)
    array = np.ones(3, "float32")
    (found,) = workers.sum(array)
    assert found is array
    assert workers.agree(3) == [3]


def test_other_strategies_are_refused():
    strategy = tf.distribute.experimental.CentralStorageStrategy(["CPU:0"])
    with (
        strategy.scope(),
        pytest.raises(ValueError, match="Received: the scope of a CentralStorage"),
    ):
        current_workers()


def test_work_is_shared_out():
    takers = [
        [w.takes(k) for w in (Workers(None, 3, i) for i in range(3))] for k in range(7)
    ]
    assert np.array(takers).sum(axis=1).tolist() == [1] * 7


@pytest.mark.parametrize(
    "name", ["prune", "rank", "rank by weights", "repair", "mimic"]
)
def test_other_strategies_are_refused_before_any_work(name):
    model = models.classifier()
    images, labels = models.labelled_images(8)
    keep = ksp.trace_channels(model).without([])
    calls = {
        "prune": lambda: ksp.prune(model, images, 0.5, verbose=0),
        "rank": lambda: ksp.ShapleyRanker("loss").rank(model, (images, labels)),
        "rank by weights": lambda: ksp.BaselineRanker("l1_norm").rank(model),
        "repair": lambda: ksp.repair_channels(model, keep, images),
        "mimic": lambda: ksp.mimic(model, model, images),
    }
    strategy = tf.distribute.experimental.CentralStorageStrategy(["CPU:0"])
    with (
        strategy.scope(),
        pytest.raises(ValueError, match="Received: the scope of a CentralStorage"),
    ):
        calls[name]()
