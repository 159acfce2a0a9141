"""Tests of tables: measured, saved and loaded, checked."""

import json

import keras
import numpy as np
import pytest
from bars import check_whole, labels_of
from clocks import CALL, SteppedClock, build_residual, linear_clock

from keras_shapley_prune.latency.latency_table import LatencyTable
from keras_shapley_prune.latency.measure_table import measure_latency_table
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture(scope="module")
def model():
    """A residual network of 24 filters."""
    return build_residual(width=24)


@pytest.fixture(scope="module")
def table(model):
    """Its table by a function that is no clock."""
    return measure_latency_table(model, linear_clock)


def test_a_bar_or_silence(model, table, capsys):
    measure_latency_table(model, linear_clock)
    bar = capsys.readouterr().out
    check_whole(bar)
    first, *_, last, end = labels_of(bar)  # a function is called where others compile
    count = len(table.mixes)
    assert (first, end) == (f"compiling pieces, 1 of {count}", "")
    assert last == f"compiling pieces, {count} of {count}"
    measure_latency_table(model, linear_clock, verbose=0)
    assert capsys.readouterr().out == ""


def test_whole_networks_and_pieces_are_timed(model, table):
    assert table.whole[0] == pytest.approx(linear_clock(model))
    # A piece by itself has had a call of its own.
    net = sum(times[0] - CALL for times in table.pieces.values())
    assert net + CALL == pytest.approx(table.whole[0])
    assert table.runtime is None and "linear_clock" in table.description


def test_the_model_is_as_it_was(model):
    before = [variable.numpy() for variable in model.weights]
    calls = len(model.layers[1]._inbound_nodes)
    measure_latency_table(model, linear_clock)
    assert len(model.layers[1]._inbound_nodes) == calls
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_pieces_that_are_alike_are_timed_once(model):
    clock = SteppedClock(1)
    table = measure_latency_table(model, clock)
    measured = {t for times in table.pieces.values() for t in times if t is not None}
    assert clock.num_calls < len(table.mixes) * (len(table.pieces) + 1)
    assert len(measured) > len(table.mixes)


def test_saved_and_loaded(table, tmp_path):
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table


@pytest.mark.slow
def test_a_table_of_a_runtime(tmp_path):
    inputs = keras.Input((8,))
    x = keras.layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    runtime = Runtime("tensorflow", batch_size=3, folded=True)
    table = measure_latency_table(model, runtime)
    assert all(seconds > 0 for seconds in table.whole)
    assert table.runtime_here() == runtime
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table


@pytest.mark.parametrize(
    "place, value, expected",
    [
        ("version", 2, "version"),
        ("overhead", "much", "overhead"),
        ("whole", [1.0], "whole"),
        ("pieces", {"conv2d": [0.0] * 10}, "pieces"),
        ("groups", {"conv2d": -1}, "groups"),
        ("mixes", [{"kept": {}, "step": 0, "removed": []}], "mixes/0/step"),
        ("mixes", [{"kept": {"none": 1}, "step": 1, "removed": []}], "mixes/0/kept"),
        ("mixes", [{"kept": {"conv2d": 99}, "step": 1, "removed": []}], "to those of"),
        ("runtime", {"name": "abacus", "batch_size": 1}, "runtime/name"),
        ("description", 3, "description"),
        ("format", "keras_shapley_prune.Ranking", "holds something else"),
    ],
)
def test_damaged_files(table, tmp_path, place, value, expected):
    path = tmp_path / "table.json"
    table.save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {place: value}))
    with pytest.raises(ValueError, match=expected) as error:
        LatencyTable.load(path)
    assert "table.json" in str(error.value)


def test_a_table_of_another_model(table):
    with pytest.raises(ValueError, match="other groups of units"):
        table.check(trace_channels(build_residual(width=16)))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), "fast", None])
def test_functions_that_return_no_time(model, seconds):
    with pytest.raises(ValueError, match="target"):
        measure_latency_table(model, lambda _: seconds)


def test_a_model_of_any_size():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match="`input_shape` should be the shape of one"):
        measure_latency_table(model, lambda piece: 0.1)
    table = measure_latency_table(model, lambda piece: 0.1, input_shape=(8, 8, 3))
    assert table.input_shapes == ((8, 8, 3),)
