"""Tests of the folder in which a long run keeps what it has done."""

import json
import re

import fresh_seeds
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune.checkpoint import checkpoint as module
from keras_shapley_prune.checkpoint.checkpoint import Checkpoint, open_checkpoint


def model_of(width=3, name="dense"):
    fresh_seeds.clear_session()
    fresh_seeds.set_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, name=name)])


def open_at(path, model=None, data=1.0, **settings):
    batches = [([tf.fill([2, 4], data)], (), ())]
    return open_checkpoint(path, model or model_of(), batches, **settings)


def test_what_one_process_writes_the_next_one_finds(tmp_path):
    first = open_at(tmp_path / "new" / "run", seed=1)
    entry = first.within("ranking").entry("group", 3)
    assert entry.read() is None
    entry.write({"sum": np.arange(3.0), "stage": 2})
    found = open_at(tmp_path / "new" / "run", seed=1).within("ranking")
    assert found.entry("group", 3).read()["stage"] == 2
    assert found.entry("group", 2).read() is None
    names = sorted(path.name for path in (tmp_path / "new" / "run").iterdir())
    assert names == ["checkpoint.json", "ranking-group-00003.npz"]


def test_a_file_for_people_is_there_as_a_whole_or_as_it_was(tmp_path):
    kept = open_at(tmp_path)
    kept.keep("plan.json", lambda path: path.write_text("first"))

    def fail(path):
        path.write_text("half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.keep("plan.json", fail)
    assert (tmp_path / "plan.json").read_text() == "first"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint.json", "plan.json"]
    Checkpoint().keep("plan.json", fail)  # nothing is kept


def test_nothing_is_kept_without_a_folder():
    kept = open_checkpoint(None, None, None)
    kept.within("ranking").entry("group").write({"a": 1})
    assert not kept.is_kept
    assert kept.entry("group").read() is None
    assert open_checkpoint(kept, None, None) is kept


def test_running_sums_are_written_every_so_often(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    entry, made = open_at(tmp_path).entry("group"), []

    def make():
        made.append(now[0])
        return {}

    for second in range(100):
        now[0] = second
        entry.write_if_due(make)
    assert made == [30, 60, 90]
    monkeypatch.setattr(module, "SECONDS", 0.0)
    entry.write_if_due(make)
    assert made[3:] == [99]


def test_what_takes_long_to_write_is_written_less_often(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def write(*arguments):
        now[0] += 12.0

    monkeypatch.setattr(module, "write_entry", write)
    entry, made = open_at(tmp_path).entry("group"), []
    for _ in range(400):
        now[0] += 1.0
        entry.write_if_due(lambda: made.append(now[0]) or {})
    assert np.diff(made).tolist() == [132, 132, 132][: len(made) - 1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": lambda: model_of(name="other")}, "layers of the model"),
        ({"model": lambda: reweighted()}, "weights of the model"),
        ({"data": lambda: 2.0}, "inputs of the data"),
        ({"seed": lambda: 2}, "seed (was 1, is 2)"),
        (
            {"ranker": lambda: ksp.ShapleyRanker("kl", seed=7)},
            'ranker.game.class (was "Reconstruction", is "KL")',
        ),
        (
            {"ranker": lambda: ksp.ShapleyRanker(ksp.games.Custom(lambda a, b: -b))},
            "ranker.game.function",
        ),
        ({"repair": lambda: ksp.Mimic(9)}, "repair.num_steps"),
    ],
)
def test_another_run_is_refused_and_what_differs_is_named(tmp_path, change, named):
    if "function" in named:
        first = {"ranker": ksp.ShapleyRanker(ksp.games.Custom(lambda a, b: b))}
    else:
        first = {"ranker": ksp.ShapleyRanker(), "repair": ksp.Mimic(8), "seed": 1}
    open_at(tmp_path / "run", **first)
    open_at(tmp_path / "run", **first)
    changed = {name: make() for name, make in change.items()}
    with pytest.raises(ValueError, match=re.escape(named)) as info:
        open_at(tmp_path / "run", **{**first, **changed})
    assert str(tmp_path / "run") in str(info.value)


def reweighted():
    model = model_of()
    weights = model.get_weights()
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], 1)
    model.set_weights(weights)
    return model


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "x", "run": {}}'])
def test_a_damaged_description_is_an_error_with_its_name(tmp_path, text):
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(ValueError, match=r"checkpoint.json' to be a file that a check"):
        open_at(tmp_path)


def test_an_edited_description_is_refused(tmp_path):
    open_at(tmp_path, seed=1)
    path = tmp_path / "checkpoint.json"
    content = json.loads(path.read_text())
    content["run"] = [["seed", 1]]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="of a run that differs in: version of"):
        open_at(tmp_path, seed=1)


@pytest.mark.sweep(3)
@pytest.mark.parametrize("given", [3, 1.5, ["run"], "", b"", object()])
def test_only_paths_are_taken(given):
    with pytest.raises(ValueError, match="`checkpoint` should be the path of a folder"):
        open_at(given)


def test_folders_of_something_else_and_files_are_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"which holds 'notes.txt' and no"):
        open_at(tmp_path)
    with pytest.raises(ValueError, match="which is a file"):
        open_at(path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_names_of_files_cannot_lead_anywhere_else(tmp_path):
    kept = open_at(tmp_path)
    for name in ("../group", "a/b", "/etc/group", "..", "Group", ""):
        for make in (kept.entry, kept.within):
            with pytest.raises(ValueError, match="words of small letters"):
                make(name)


def interrupt(kept):
    """A part of a run is interrupted, and so is the run."""
    with kept.explain_interruption(), kept.within("part").explain_interruption():
        raise KeyboardInterrupt


def test_an_interruption_says_how_to_go_on(tmp_path):
    for kept, expected in (
        (
            open_at(tmp_path / "run"),
            f"kept in '{tmp_path / 'run'}': the same call goes",
        ),
        (Checkpoint(), "With the argument `checkpoint`"),
    ):
        with pytest.raises(KeyboardInterrupt, match=re.escape(expected)):
            interrupt(kept)
