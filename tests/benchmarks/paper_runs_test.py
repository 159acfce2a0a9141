"""Tests of what the paper's experiments share."""

import sys

import pytest
from scripts import ROOT, load


@pytest.fixture(scope="module")
def runs():
    path = list(sys.path)
    yield load(ROOT / "benchmarks" / "paper" / "runs.py")
    sys.path[:] = path


KEYS = [("a", 0), ("a", 1), ("b", 0)]


def test_what_has_rows_is_not_run_again(runs, tmp_path, capsys):
    path, done = tmp_path / "table.csv", []

    def function(name, seed):
        if (name, seed) == ("b", 0) and len(done) < 3:
            done.append("killed")
            raise KeyboardInterrupt
        done.append((name, seed))
        return [(1, 0.5), (2, 0.25)]

    first = runs.Runs(path, "name seed number value", 2)
    with pytest.raises(KeyboardInterrupt):
        first.run(KEYS, function)
    second = runs.Runs(path, "name seed number value", 2)
    second.run(KEYS, function)
    assert done == [("a", 0), ("a", 1), "killed", ("b", 0)]
    assert second.find(("b", 0)) == [["1", "0.5000"], ["2", "0.2500"]]
    assert runs.Runs(path, "name seed number value", 2).rows == second.rows
    assert "2 of 3 runs are in" in capsys.readouterr().out
    second.run(KEYS, function)
    assert len(done) == 4


def test_the_rest_is_estimated_by_weight(runs, tmp_path, capsys, monkeypatch):
    seconds = iter([0.0, 60.0, 90.0])
    monkeypatch.setattr(runs.time, "monotonic", lambda: next(seconds))
    table = runs.Runs(tmp_path / "table.csv", "size value", 1)
    table.run([(2,), (1,)], lambda size: [(size,)], weight=lambda size: size)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[1/2] 2: 1.0 min so far, about 0.5 min to go"
    assert lines[2] == "[2/2] 1: 1.5 min so far, about 0.0 min to go"


def test_keys_are_found_as_they_are_written(runs, tmp_path):
    table = runs.Runs(tmp_path / "table.csv", "ratio name value", 2)
    table.run([(0.25, "a")], lambda ratio, name: [(1,)])
    again = runs.Runs(tmp_path / "table.csv", "ratio name value", 2)
    assert again.find((0.25, "a")) == [["1"]]
    assert again.find((0.5, "a")) == []


def test_a_table_with_other_columns_is_refused(runs, tmp_path):
    path = tmp_path / "table.csv"
    runs.Runs(path, "name value", 1).run([("a",)], lambda name: [(1,)])
    with pytest.raises(ValueError, match="to have the columns"):
        runs.Runs(path, "name seed value", 2)
    assert path.read_text(encoding="utf-8").splitlines() == ["name,value", "a,1"]
