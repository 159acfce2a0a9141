"""Tests of units that nothing reads: worth nothing, and removed for nothing."""

import warnings

import keras
import models
import numpy as np
import pytest
import unread_models
from keras import layers

from keras_shapley_prune import (
    BaselineRanker,
    Mimic,
    ShapleyRanker,
    compare,
    inspect,
    measure_ablation,
    measure_frontier,
    prune,
    prune_until,
    remove_channels,
    trace_channels,
)
from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES

UNREAD = unread_models.UNREAD
by_builder = pytest.mark.parametrize("builder", UNREAD, ids=lambda b: b.__name__)
RANKERS = [
    *[name for name in BASELINE_NAMES if name != "bn_gamma"],
    ShapleyRanker(),
    ShapleyRanker(sequential=True),
    ShapleyRanker("kl"),
    ShapleyRanker("kl", "gradient", sequential=True),
]


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "builder", [*UNREAD, *unread_models.PARTLY], ids=lambda b: b.__name__
)
def test_masked_equals_pruned(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    unread = {g.name: g.num_units for g in channel_map.groups if not g.consumers}
    assert unread == UNREAD.get(builder, {})
    if builder is not unread_models.nothing_else:
        models.check_masks(model)


@by_builder
def test_removing_them_changes_nothing(builder):
    model = models.build(builder)
    keep = np.ones(trace_channels(model).num_units, bool)
    for group in trace_channels(model).groups:
        if not group.consumers:
            keep[group.units[1:]] = False
    inputs = models.inputs_of(model)
    ours = models.outputs_of(remove_channels(model, keep), inputs)
    expected = models.outputs_of(model, inputs)
    assert models.relative_difference(ours, expected) < 1e-6


@pytest.mark.sweep(3)
@pytest.mark.parametrize("ranker", RANKERS, ids=str)
@by_builder
def test_they_are_worth_nothing(builder, ranker):
    model = models.build(builder)
    if isinstance(ranker, str):
        ranker = BaselineRanker(ranker, game="kl")
    ranking = ranker.rank(model, models.images(model, 8), verbose=0)
    for name, scores in ranking.items():
        assert np.isfinite(scores.values).all()
        if name in UNREAD[builder]:
            assert not scores.values.any()
            assert not scores.standard_errors.any()
    str(ranking)


@pytest.mark.eager
@pytest.mark.sweep(4)
@pytest.mark.parametrize("ranker", ["l1_norm", None], ids=str)
@by_builder
def test_a_global_budget_removes_them_first(builder, ranker):
    model, unread = models.build(builder), sum(UNREAD[builder].values())
    images = models.images(model, 16)
    pruned = _prune(model, images, 0.15, scope="global", ranker=ranker)
    groups = compare(model, pruned).groups
    removed = {group.name: group.num_removed for group in groups}
    wanted = int(0.15 * sum(group.units[0] for group in groups) + 0.5)
    # What is read by those alone is worth no more to the outputs.
    free = {*UNREAD[builder], "inner/b"} & set(removed)
    lost = sum(removed[name] for name in free)
    assert lost >= min(wanted, unread - len(UNREAD[builder]))


@pytest.mark.eager
@pytest.mark.sweep(3)
@pytest.mark.parametrize("repair", ["least_squares", "mean", "batchnorm", "mimic"])
@by_builder
def test_repairs_pass_them_over(builder, repair):
    model = models.build(builder)
    images = models.images(model, 16)
    if repair == "mimic":
        repair = Mimic(num_steps=3)
    for scope in ("layer", "global"):
        pruned = _prune(model, images, 0.3, scope=scope, of="params", repair=repair)
        assert all(np.isfinite(weight).all() for weight in pruned.weights)
        assert "to   nothing" in str(inspect(model))


@pytest.mark.slow
@pytest.mark.eager
def test_frontiers_and_curves(tmp_path):
    model = models.fresh(unread_models.sliced)
    images = models.images(model, 16)
    labels = models.outputs_of(model, images)[0].argmax(axis=-1)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = images, labels
    ranking = BaselineRanker("l1_norm").rank(model, data, verbose=0)
    curves = measure_ablation(model, ranking, data, num_points=3)
    (flat,) = [curve for curve in curves if curve.group == "one"]
    assert len(set(flat.values)) == 1  # whatever is masked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert measure_frontier(model, ranking, data, [0.2, 0.5])
        pruned = prune_until(model, data, 0.9, verbose=0)
    compare(model, pruned).to_html(tmp_path / "report.html")


def test_hidden_units_that_are_only_fed_back_are_locked():
    inputs = keras.Input((5, 3))
    x = layers.LSTM(6, return_sequences=True, name="series")(inputs)
    model = keras.Model(inputs, layers.LSTM(4, name="last")(x[..., 2:]))
    (group,) = trace_channels(model).groups
    assert group.num_units == 4
    reason = trace_channels(model).lock_reasons()["series"]
    assert reason == "read again by `series` in the next step, but by no other layer"


def _prune(model, images, ratio, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few images
        warnings.simplefilter("error", RuntimeWarning)
        return prune(model, images, ratio, verbose=0, **options)
