"""Tests of what TensorBoard finds in the event files."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune import GroupScores, Ranking
from keras_shapley_prune.report.frontier import FrontierPoint

event_pb2 = pytest.importorskip("tensorflow.core.util.event_pb2")


@pytest.fixture
def ranking():
    values = np.array([-1.0, 0.5, 2.0, 3.0, np.nan])
    errors = np.array([0.1, 0.2, 0.2, 0.3, np.inf])
    other = GroupScores(np.arange(4.0), np.full(4, np.inf), 7)
    return Ranking({"conv": GroupScores(values, errors, 10), "dense": other}, "m", 3)


def read(logdir):
    """Returns a dict: tag -> list of `(step, array, plugin)`."""
    (path,) = logdir.glob("events.out.tfevents.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            entry = event.step, tf.make_ndarray(value.tensor), plugin
            found.setdefault(value.tag, []).append(entry)
    return found


def test_histograms_of_each_group(ranking, tmp_path):
    ranking.to_tensorboard(tmp_path / "logs", step=5)
    found = read(tmp_path / "logs")
    assert set(found) == {
        "scores/conv",
        "standard_errors/conv",
        "negative/conv",
        "scores/dense",
        "negative/dense",  # no error is known there
    }
    ((step, bins, plugin),) = found["scores/conv"]
    assert (step, plugin) == (5, "histograms")
    assert bins.shape == (30, 3)
    assert (bins[0, 0], bins[-1, 1]) == (-1.0, 3.0)
    np.testing.assert_allclose(bins[1:, 0], bins[:-1, 1])
    assert bins[:, 2].sum() == 4
    assert bins[0, 2] == 1  # the negative one
    ((_, share, plugin),) = found["negative/conv"]
    assert (share, plugin) == (0.25, "scalars")


def test_the_frontier_is_a_curve_over_flops(ranking, tmp_path):
    points = [
        FrontierPoint(0.0, 100, 5_000_000_000, 0.75, "accuracy"),
        FrontierPoint(0.5, 50, 1200, 0.5, "accuracy"),
    ]
    ranking.to_tensorboard(tmp_path, points)
    found = read(tmp_path)["frontier/accuracy"]
    assert [(step, float(value)) for step, value, _ in found] == [
        (5_000_000_000, 0.75),
        (1200, 0.5),
    ]


def test_tensorboard_itself_reads_them(ranking, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    ranking.to_tensorboard(tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert "scores/conv" in events.Tags()["tensors"]
    (summary,) = (events.SummaryMetadata("scores/conv"),)
    assert summary.plugin_data.plugin_name == "histograms"
