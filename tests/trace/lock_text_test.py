"""Tests of lock reasons as text."""

import keras
import pytest
from keras import layers

from keras_shapley_prune import BaselineRanker, compare, plan_pruning
from keras_shapley_prune.report.inspection import inspect
from keras_shapley_prune.trace.lock_text import (
    describe_locks,
    group_locks,
    name_some,
)
from keras_shapley_prune.trace.tracer import trace_channels


def many_locks(prunable=False):
    """Returns a model of 40 convolutions that cannot be pruned."""
    inputs = keras.Input((4, 4, 3))
    x = inputs
    for number in range(40):
        x = layers.Conv2D(3, 1, name=f"conv{number}")(x)
        x = layers.BatchNormalization(axis=1, name=f"norm{number}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(6, name="hidden")(x) if prunable else x
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def test_a_reason_of_one_layer():
    assert describe_locks({"a": "model output"}) == "a: model output"


def test_a_reason_of_several_layers_stands_once():
    reasons = {"a": "is stateful", "b": "model output", "c": "is stateful"}
    assert describe_locks(reasons) == "a, c: is stateful; b: model output"


def test_reasons_that_differ_in_a_name_are_one():
    reasons = {"a": "`add` broadcasts it", "b": "`add_1` broadcasts it"}
    assert describe_locks(reasons) == "a, b: `add` and 1 other broadcasts it"
    reasons |= {"c": "`add_2` broadcasts it", "d": "`add_2` broadcasts it"}
    assert describe_locks(reasons) == "a, b, c, d: `add` and 2 others broadcasts it"


def test_a_layer_and_what_it_locks_are_one():
    reasons = {"conv": "Norm has axis 1 (`norm`)", "norm": "Norm has axis 1"}
    assert describe_locks(reasons) == "conv, norm: Norm has axis 1 (`norm`)"


def test_units_are_counted():
    first, second = group_locks({"a": {"x": 3, "y": 2}, "b": {"x": 4}, "c": {"x": 0}})
    assert (first.reason, first.layers, first.num_units) == ("x", ("a", "b", "c"), 7)
    assert (second.reason, second.layers, second.num_units) == ("y", ("a",), 2)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "n0"), (4, "n0, n1, n2, n3"), (5, "n0, n1, n2 and 2 others")],
)
def test_of_many_names_the_first_are_told(number, text):
    assert name_some([f"n{i}" for i in range(number)]) == text


def test_nothing_is_locked():
    assert describe_locks({}) == ""


def test_the_report_says_it_once():
    text = str(inspect(many_locks()))
    assert text.count("normalizes axis 1") == 1
    assert "\n    conv0, conv1, conv2 and 77 others (120 units): Batch" in text


def test_an_error_says_it_once():
    with pytest.raises(ValueError, match="normalizes axis 1") as caught:
        trace_channels(many_locks()).select_groups()
    assert str(caught.value).count("normalizes axis 1") == 1
    assert len(str(caught.value)) < 300


def test_the_comparison_and_the_ranking_say_it_once():
    model = many_locks(prunable=True)
    ranking = BaselineRanker("l1_norm").rank(model)
    assert str(ranking).count("normalizes axis 1") == 1
    assert len(plan_pruning(model, ranking, 0.5).units) == 1
    lines = str(compare(model, model, verbose=0)).splitlines()
    assert sum("normalizes axis 1" in line for line in lines) == 1
    assert sum("locked as conv0" in line for line in lines) == 40
