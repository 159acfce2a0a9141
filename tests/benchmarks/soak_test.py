"""The soak finds what is wrong, goes on where it was killed, and is the same again."""

import sys
import types

import keras
import numpy as np
import pytest
from scripts import ROOT, load

import keras_shapley_prune as ksp

pytestmark = pytest.mark.eager
CASE = 1  # small, of a random graph; it runs to its end


@pytest.fixture(scope="module")
def scripts():
    """Returns a function: name of a script -> its module."""
    path, known = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield lambda name: load(ROOT / "benchmarks" / f"{name}.py")
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith("soak"):
            del sys.modules[name]


def run(scripts, number=CASE):
    row = scripts("soak_case").run_case(0, number)
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.mark.slow
def test_a_case_depends_on_its_number_alone(scripts):
    row = run(scripts)
    assert (row["outcome"], row["detail"]) == ("ok", "")
    assert float(row["masked"]) < 1e-4
    assert row["saved"] == "0.0e+00"
    np.random.default_rng(0)
    assert run(scripts) == row


def _nudged(model, *args, **kwargs):
    smaller = ksp.cut.surgery.remove_channels(model, *args, **kwargs)
    smaller.set_weights([1.01 * weight for weight in smaller.get_weights()])
    return smaller


def _changed(model, *args, **kwargs):
    model.set_weights([weight + 1e-6 for weight in model.get_weights()])
    return ksp.report.compare.compare(model, *args, **kwargs)


def _broken(*args, **kwargs):
    raise TypeError("unsupported operand")


def _refused(*args, **kwargs):
    raise ValueError("Argument `x` should be one. Received: x=2")


def _too_much(model, ranking, budget):
    plan = ksp.plan.planner.plan_pruning(model, ranking, budget)
    return plan.resize(dict.fromkeys(plan.units, 1))


@pytest.mark.parametrize(
    "name, function, expected",
    [
        ("remove_channels", _nudged, ("wrong", "mismatch", "masked differs")),
        ("compare", _changed, ("wrong", "mismatch", "the original has other")),
        ("mask_channels", _broken, ("wrong", "crash", "TypeError: unsupported")),
        ("count_flops", lambda model: 1, ("wrong", "cost", "flops: planned")),
        ("plan_pruning", _too_much, ("wrong", "miss", "")),
        ("prune", _refused, ("refused", "", "prune: Argument `x`")),
    ],
)
def test_what_is_wrong_is_counted(scripts, monkeypatch, name, function, expected):
    monkeypatch.setattr(ksp, name, function)
    row = run(scripts)
    assert (row["outcome"], row["kind"]) == expected[:2], row
    assert row["detail"].startswith(expected[2])


@pytest.mark.parametrize("compiles", [True, False])
def test_what_runs_eagerly_only_is_told(scripts, compiles):
    inputs = keras.Input((3,))
    factor = np.ones((1, 2), "float32")
    # Of a tensor whose number of examples is not known, Keras has no Kronecker product.
    tensor = inputs * 2 if compiles else keras.ops.kron(inputs, factor)
    model = keras.Model(inputs, tensor)
    subject = types.SimpleNamespace(model=model, x=np.ones((4, 3), "float32"))
    model(subject.x)
    assert scripts("soak_measures").runs_compiled(subject) == compiles


def _row(number, outcome="ok", **fields):
    return {"seed": 0, "number": number, "outcome": outcome, "seconds": 1.5} | fields


def test_a_killed_run_goes_on(scripts, tmp_path):
    soak = scripts("soak")
    table = soak.Table(tmp_path / "soak.csv")
    for number in range(3):
        table.add(_row(number, detail='of "two", parts'))
    text = table.path.read_text()
    table.path.write_text(text[:-9])  # as `kill -9` may leave it
    again = soak.Table(table.path)
    assert [row["number"] for row in again.rows] == ["0", "1"]
    again.add(_row(2, detail='of "two", parts'))
    assert again.path.read_text() == text


def test_wrong_cases_are_run_again(scripts, tmp_path):
    soak = scripts("soak")
    table = soak.Table(tmp_path / "soak.csv")
    for number, outcome in enumerate(["ok", "wrong", "refused", "wrong"]):
        table.add(_row(number, outcome))
    assert table.drop_wrong(1) == []
    assert table.drop_wrong(0) == [1, 3]
    assert [row["number"] for row in soak.Table(table.path).rows] == ["0", "2"]


class _Dead:
    """A process that was killed, and the end of its pipe."""

    exitcode = -9

    def poll(self, seconds):
        return True

    def recv(self):
        raise EOFError

    def join(self, seconds):
        pass


def test_a_process_that_dies_is_a_crash(scripts):
    (row,) = scripts("soak")._receive(_Dead(), _Dead(), [7, 8])
    assert (row["number"], row["kind"]) == (7, "crash")
    assert row["detail"] == "the process died: SIGKILL"


def test_the_table_says_what_was_wrong(scripts):
    soak = scripts("soak")
    rows = [_row(0), _row(1, "refused", detail="no layer"), _row(2, masked="1e-07")]
    rows.append(_row(3, "wrong", kind="cost", detail="flops"))
    rows = [{name: str(row.get(name, "")) for name in soak.FIELDS} for row in rows]
    text = soak.summarize(rows)
    assert "4 cases, 2 run to the end, 1 refused (25.0%), 1 wrong" in text
    assert "| cost | 1 |" in text
    assert "| masked | 1 | 0 | 1e-07 |" in text
    assert "- flops (case 3)" in text


@pytest.mark.parametrize("kept, verdict", [(0, "flat"), (0.5, "grows")])
def test_memory_that_is_kept_is_told(scripts, monkeypatch, kept, verdict):
    memory, held, rows = scripts("soak_memory"), [100.0], []

    def call():
        held[0] += kept

    monkeypatch.setattr(memory, "open_kinds", lambda: {"a call": call})
    monkeypatch.setattr(memory, "read_memory", lambda: held[0])
    monkeypatch.setattr(memory, "give_back", lambda: None)
    monkeypatch.setattr(memory, "read_in_use", lambda: 0.0)
    memory.measure(type("Sender", (), {"send": staticmethod(rows.append)}), "a call")
    assert (rows[0]["growth"], rows[0]["verdict"]) == (f"{kept:.3f}", verdict)
    assert float(rows[0]["limit"]) > 0.05
