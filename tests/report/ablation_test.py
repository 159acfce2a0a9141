"""Tests of measuring a network as the units of a group leave."""

import keras
import models
import numpy as np
import pytest
from bars import check_whole, drawn, labels_of

from keras_shapley_prune import BaselineRanker, measure_ablation
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture
def setting():
    model, data = models.classifier(), models.labelled_images(32)
    return model, BaselineRanker("l1_norm").rank(model), data


@pytest.mark.eager
def test_a_curve_is_what_cut_models_achieve(setting):
    model, ranking, (x, y) = setting
    curves = measure_ablation(model, ranking, (x, y), num_points=4)
    assert [curve.group for curve in curves] == ["conv", "hidden"]
    channel_map = trace_channels(model)
    for curve, group in zip(curves, channel_map.groups, strict=True):
        assert curve.metric == "loss" and curve.num_units == group.num_units
        assert curve.num_removed[0] == 0
        assert curve.num_removed[-1] == group.num_units - 1
        order = group.units[ranking[group.name].order]
        for count, value in zip(curve.num_removed, curve.values, strict=True):
            keep = np.ones(channel_map.num_units, bool)
            keep[order[:count]] = False
            cut = remove_channels(model, keep, channel_map)
            loss = keras.losses.sparse_categorical_crossentropy(y, cut(x))
            np.testing.assert_allclose(value, np.mean(loss), rtol=1e-4)


@pytest.mark.eager
def test_metric_by_name_and_by_function(setting):
    model, ranking, (x, y) = setting
    (curve,) = measure_ablation(model, ranking, (x, y), "accuracy", "conv", 3)
    assert curve.metric == "accuracy"
    found = measure_ablation(
        model,
        ranking,
        (x, y),
        lambda network: np.mean(np.argmax(network(x), axis=1) == y),
        "conv",
        3,
    )
    assert found[0].metric == "metric"
    np.testing.assert_allclose(found[0].values, curve.values, rtol=1e-6)


@pytest.mark.eager
def test_more_points_than_units(setting):
    model, ranking, data = setting
    curve, _ = measure_ablation(model, ranking, data, num_points=50)
    assert curve.num_removed == (0, 1, 2, 3, 4, 5)


def test_the_model_is_not_changed(setting):
    model, ranking, (x, y) = setting
    before = models.snapshot(model, x)
    measure_ablation(model, ranking, (x, y), num_points=2)
    assert models.snapshot(model, x) == before


@pytest.mark.eager
def test_one_bar_over_all_groups(setting, capsys):
    model, ranking, data = setting
    measure_ablation(model, ranking, data, num_points=3)
    out = capsys.readouterr().out
    check_whole(out)
    assert labels_of(out) == [
        "measuring the whole network",
        "ablating conv, 1 of 2",
        "ablating hidden, 2 of 2",
        "",
    ]
    percents = {percent for percent, _ in drawn(out)}
    assert percents == {0, 20, 40, 60, 80, 99, 100}  # five measurements
    measure_ablation(model, ranking, data, "accuracy", num_points=3, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": accuracy ")[0] for line in lines] == [
        "conv, 1 of 2",
        "hidden, 2 of 2",
    ]
    measure_ablation(model, ranking, data, num_points=2, verbose=0)
    assert capsys.readouterr().out == ""


def test_wrong_arguments(setting):
    model, ranking, data = setting
    with pytest.raises(ValueError, match="num_points"):
        measure_ablation(model, ranking, data, num_points=1)
    with pytest.raises(ValueError, match="should score groups"):
        measure_ablation(model, {}, data)
    with pytest.raises(ValueError, match=r"should be one of.*'f1'"):
        measure_ablation(model, ranking, data, "f1")
    bare = models.classifier(compiled=False)
    with pytest.raises(ValueError, match="not compiled"):
        measure_ablation(bare, ranking, data)


def test_labels_are_needed(setting):
    model, ranking, data = setting
    with pytest.raises(ValueError, match="should hold labels"):
        measure_ablation(model, ranking, data[0])
