"""Tests of the frontier of a metric against cost."""

import models
import numpy as np
import pytest
from bars import check_whole, labels_of

from keras_shapley_prune import (
    BaselineRanker,
    PruningBudget,
    apply_plan,
    count_flops,
    measure_frontier,
    plan_pruning,
)


@pytest.fixture
def setting():
    model, data = models.classifier(), models.labelled_images(32)
    return model, BaselineRanker("l1_norm").rank(model), data


@pytest.mark.eager
def test_points_are_pruned_models(setting):
    model, ranking, (x, y) = setting
    points = measure_frontier(
        model, ranking, x[:16], (0.25, 0.5), validation_data=(x, y), metric="loss"
    )
    assert [point.ratio for point in points] == [0.0, 0.25, 0.5]
    pruned = apply_plan(model, plan_pruning(model, ranking, 0.5), x[:16])
    for point, network in ((points[0], model), (points[2], pruned)):
        assert point.parameters == network.count_params()
        assert point.flops == count_flops(network)
        loss = network.evaluate(x, y, verbose=0, return_dict=True)["loss"]
        np.testing.assert_allclose(point.value, loss, rtol=1e-4)
        assert point.metric == "loss"
    assert points[0].flops > points[1].flops > points[2].flops


def test_a_budget_and_no_validation_data(setting):
    model, ranking, data = setting
    whole, half = measure_frontier(
        model,
        ranking,
        data,
        [0.5],
        of="flops",
        repair=None,
        metric=lambda model: 1,
        layers=lambda layer: True,
    )
    assert (whole.value, whole.metric) == (1.0, "metric")
    assert 0.4 < half.flops / whole.flops < 0.6


def test_the_model_is_not_changed(setting):
    model, ranking, (x, y) = setting
    before = models.snapshot(model, x)
    measure_frontier(model, ranking, (x, y), [0.5])
    assert models.snapshot(model, x) == before


def test_wrong_ratios_are_refused_before_anything_is_measured(setting):
    model, ranking, data = setting
    with pytest.raises(ValueError, match=r"`ratios` .*ratios=1\.5"):
        measure_frontier(model, ranking, data, [0.5, 1.5], metric=pytest.fail)


def test_labels_are_needed(setting):
    model, ranking, data = setting
    with pytest.raises(ValueError, match="should hold labels"):
        measure_frontier(model, ranking, data[0])


def test_budgets_in_the_place_of_ratios(setting):
    model, ranking, data = setting
    options = {"repair": None, "metric": lambda model: 1}
    budgets = [
        PruningBudget(0.5, of="flops", scope="global"),
        PruningBudget(0.5, layers="conv"),
    ]
    # A generator is read once.
    _, first, second = measure_frontier(model, ranking, data, iter(budgets), **options)
    _, expected = measure_frontier(
        model, ranking, data, [0.5], of="flops", scope="global", **options
    )
    assert first == expected
    assert second.ratio == 0.5
    assert second.flops != first.flops
    with pytest.raises(ValueError, match=r"ratios=\{'conv': 0\.5\}"):
        measure_frontier(model, ranking, data, [PruningBudget({"conv": 0.5})])


def test_a_typo_names_the_function(setting):
    message = r"^measure_frontier\(\) got .* argument 'scop'"
    with pytest.raises(TypeError, match=message):
        measure_frontier(*setting, scop="global")


def test_wrong_repairs_are_refused_before_anything_is_measured(setting):
    model, ranking, data = setting
    with pytest.raises(ValueError, match="`repair` should be"):
        measure_frontier(model, ranking, data, metric=pytest.fail, repair="all")


@pytest.mark.eager
def test_one_bar_over_all_ratios(setting, capsys):
    measure_frontier(*setting, [0.25, 0.5])
    out = capsys.readouterr().out
    check_whole(out)
    labels = labels_of(out)
    assert labels[0] == "measuring the original"
    for step in ("cutting", "repairing", "checking", "measuring"):
        for which in ("0.25", "0.5"):
            assert any(label.startswith(f"{which}: {step}") for label in labels), step
    measure_frontier(*setting, [0.5], repair=None, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("0.5: ") for line in lines) and lines
    measure_frontier(*setting, [0.5], repair=None, verbose=0)
    assert capsys.readouterr().out == ""
