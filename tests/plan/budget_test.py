"""Tests of what the user may ask for."""

import re

import models
import numpy as np
import pytest

from keras_shapley_prune.plan.budget import PruningBudget, check_ratio, to_budget
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture(scope="module")
def channel_map():
    return trace_channels(models.build(models.chain))  # conv1 8, conv2 12, dense1 10


def _names(channel_map, **arguments):
    groups = PruningBudget(**arguments).select_groups(channel_map)
    return [group.name for group in groups]


def test_which_groups(channel_map):
    assert _names(channel_map) == ["conv1", "conv2", "dense1"]
    assert _names(channel_map, layers="conv*") == ["conv1", "conv2"]
    assert _names(channel_map, ignore="conv*") == ["dense1"]
    assert _names(channel_map, layers="conv*", ignore=["conv1"]) == ["conv2"]
    assert _names(channel_map, ratio={"conv2": 0.5, "d*": 0.1}) == ["conv2", "dense1"]


def _is_wide(layer):
    return getattr(layer, "filters", 0) > 10


def test_expressions_and_functions(channel_map):
    conv = re.compile("^conv")
    assert _names(channel_map, layers=conv) == ["conv1", "conv2"]
    assert _names(channel_map, layers=_is_wide) == ["conv2"]
    assert _names(channel_map, layers=["dense1", _is_wide]) == ["conv2", "dense1"]
    assert _names(channel_map, layers=conv, ignore=_is_wide) == ["conv1"]
    shares = PruningBudget({re.compile("1$"): 0.25, conv: 0.5})
    assert [shares.ratio_of(g) for g in channel_map.groups] == [0.25, 0.5, 0.25]
    with pytest.raises(ValueError, match="a share for layer names"):
        PruningBudget({_is_wide: 0.5})


def test_functions_are_asked_once(channel_map):
    asked = []

    def is_first(layer):
        asked.append(layer.name)
        return len(asked) == 1  # says something else whenever it is asked again

    conv = re.compile("conv")
    budget = PruningBudget(0.5, of="flops", layers=is_first, ignore=[conv, _is_wide])
    named = budget.name_layers(channel_map)
    assert named == PruningBudget(
        0.5, of="flops", layers=["conv1"], ignore=[conv, "conv2"]
    )
    assert asked == ["conv1", "conv2", "dense1"]
    assert named.name_layers(channel_map) is named
    with pytest.raises(ValueError, match=r"`ignore` .*Received: <function _is_model"):
        PruningBudget(ignore=_is_model).name_layers(channel_map)


def _is_model(layer):
    return False


def test_the_first_pattern_counts(channel_map):
    budget = PruningBudget({"conv1": 0.1, "conv*": 0.5, "*": 0.9})
    assert [budget.ratio_of(g) for g in channel_map.groups] == [0.1, 0.5, 0.9]
    budget = PruningBudget({"conv1": 0.1})
    assert [budget.ratio_of(g) for g in channel_map.groups] == [0.1, 0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"layers": "nothing"},
        {"ignore": "nothing"},
        {"ratio": {"nothing": 0.5}},
        {"ignore": "*"},
        {"layers": "conv1", "ignore": "conv1"},
    ],
)
def test_patterns_that_select_nothing(channel_map, arguments):
    with pytest.raises(ValueError, match="Received: "):
        PruningBudget(**arguments).select_groups(channel_map)


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({}, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"min_units": 10}, [12, 11, 10]),
        ({"min_units": 12}, [12]),
        ({"min_units": 50}, [12]),
        ({"round_to": 4}, [12, 8, 4]),
        ({"round_to": 8}, [12, 8]),
        ({"round_to": 8, "min_units": 9}, [12]),
        ({"round_to": 5, "min_units": 6}, [12, 10]),
        ({"round_to": 16}, [12]),
    ],
)
def test_sizes(channel_map, arguments, sizes):
    found = PruningBudget(**arguments).sizes(channel_map.groups[1])
    assert found.tolist() == sizes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "size"}, "`of` should be one of"),
        ({"scope": "all"}, "`scope` should be one of"),
        ({"round_to": 0}, "`round_to` should be an integer, at least 1"),
        ({"round_to": 2.0}, "`round_to` should be an integer"),
        ({"min_units": True}, "`min_units` should be an integer"),
        ({"ratio": {"a": 0.5}, "of": "flops"}, "`ratio` can be a dict only with"),
        ({"ratio": {"a": 0.5}, "scope": "global"}, "`ratio` can be a dict only with"),
        ({"ratio": {"a": 1.5}}, "`ratio` should be a float in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message) as info:
        PruningBudget(**arguments)
    assert "Received: " in str(info.value)


@pytest.mark.parametrize("ratio", [0, 0.0, 0.5, np.float32(0.3), 1 - 1e-9])
def test_ratios(ratio):
    check_ratio(ratio)


@pytest.mark.parametrize(
    "ratio", [1, 1.0, -0.1, 1.5, 50, np.nan, np.inf, "0.5", None, True, [0.5]]
)
def test_bad_ratios(ratio):
    with pytest.raises(ValueError, match=re.escape("should be a float in [0, 1)")) as e:
        PruningBudget(ratio)
    assert f"Received: ratio={ratio!r}" in str(e.value)


def test_a_budget_is_taken_as_it_is():
    budget = PruningBudget(0.5, of="flops", min_units=2)
    assert to_budget("prune", budget, {"of": "units", "layers": None}) is budget
    found = to_budget("prune", 0.5, {"of": "flops", "min_units": 2})
    assert found == budget


def test_a_typo_names_the_function_that_was_called():
    for name in ("scop", "ratio"):
        with pytest.raises(TypeError) as info:
            to_budget("prune_until", 0.5, {"of": "flops", name: 1})
        expected = f"prune_until() got an unexpected keyword argument {name!r}"
        assert str(info.value) == expected


def test_a_budget_is_not_contradicted():
    with pytest.raises(ValueError, match="`prune` should not say again") as info:
        to_budget("prune", PruningBudget(0.5), {"of": "flops", "round_to": 1})
    assert "Received: of='flops' beside PruningBudget(ratio=0.5" in str(info.value)


def test_a_default_said_beside_a_budget_contradicts_it():
    budget = PruningBudget(0.5, of="flops")
    with pytest.raises(ValueError, match="should not say again"):
        to_budget("plan_pruning", budget, {"of": "units"})
    names = ("scope", "layers", "ignore", "round_to", "min_units", "of")
    said = {name: getattr(PruningBudget(), name) for name in names}
    assert to_budget("prune", budget, said) is budget
    with pytest.raises(ValueError, match="should not say again"):
        to_budget("prune", budget, said | {"layers": np.array(["a", "b"])})
