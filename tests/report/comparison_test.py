"""Tests of a comparison as text and as JSON."""

import dataclasses
import json

import numpy as np
import pytest
from comparisons import RUNTIME, SCORES, make

from keras_shapley_prune import Comparison
from keras_shapley_prune.repair.agreement import Agreement


def test_text_holds_all_that_was_measured():
    assert str(make()).splitlines() == [
        "layer                  units",
        "conv              4 →      2",
        "logits            3 →      3  locked: model output",
        "norm                          locked: axis=1",
        "parameters   2,000 → 500 (-75.0%)",
        "FLOPs        9,000 → 4,500 (-50.0%)",
        "file size    4 kB → 1 kB (-75.0%)",
        "activations  800 B → 400 B (-50.0%)",
        "batch of 1   2.00 ms → 1.00 ms (-50.0%)",
        "batch of 32  20.00 ms → 10.00 ms (-50.0%)",
        "accuracy     0.9000 → 0.8750 (-0.0250)",
        "loss         0.2500 → 0.5000 (+0.2500)",
    ]


def test_text_of_an_agreement():
    found = str(make(agreement=Agreement(0.75, 10, 40, "examples"))).splitlines()[-1]
    assert found == "outputs      agrees with the original on 75% of 40 examples"


def test_text_of_a_runtime():
    lines = str(make(runtime=RUNTIME)).splitlines()
    assert [line for line in lines if line.startswith(("LiteRT", "timed"))] == [
        "LiteRT int8 file         3 kB → 900 B (-70.0%)",
        "LiteRT int8, batch of 1  12.5 ms → 5.05 ms (-59.6%), "
        "half of the runs: 12.0 to 13.0 → 5.00 to 5.50 ms",
        f"timed by                 {RUNTIME.description}",
    ]
    unknown = dataclasses.replace(
        RUNTIME,
        seconds=(None, None),
        quartiles=None,
        file_size=None,
        unknown="it has no such layer",
    )
    text = str(make(runtime=unknown))
    assert "\nLiteRT int8, batch of 1  unknown: it has no such layer\n" in text
    assert "file  " not in text.partition("file size")[2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("description", None),
        ("batch_size", 0),
        ("seconds", [1]),
        ("quartiles", [[1, 2]]),
        ("quartiles", [[1, 2], [1]]),
        ("file_size", ["a", "b"]),
        ("num_runs", -1),
        ("unknown", None),
    ],
)
def test_a_damaged_runtime_is_refused(tmp_path, field, value):
    path = tmp_path / "report.json"
    make(runtime=RUNTIME).to_json(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["runtime"][field] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"'runtime/{field}'"):
        Comparison.load(path)


def test_a_report_of_an_earlier_version_is_loaded(tmp_path):
    path = tmp_path / "report.json"
    make().to_json(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert not {"runtime", "agreement", "alarms"} & content.keys()
    del content["origin"]
    path.write_text(json.dumps(content), encoding="utf-8")
    loaded = Comparison.load(path)
    assert loaded.runtime is loaded.agreement is None
    assert (loaded.origin, loaded.alarms) == ({}, ())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"runtime": RUNTIME},
        {"agreement": Agreement(0.75, 10, 40, "examples")},
        {"agreement": Agreement(-1.0, None, 40, "examples")},
        {"origin": {"date": "2026-01-02"}, "alarms": ("all is lost",)},
    ],
)
def test_saved_is_loaded(tmp_path, changes):
    comparison = make(**changes)
    comparison.to_json(tmp_path / "report.json")
    loaded = Comparison.load(tmp_path / "report.json")
    for field in dataclasses.fields(Comparison):
        if field.name != "groups":
            assert getattr(loaded, field.name) == getattr(comparison, field.name)
    for found, group in zip(loaded.groups, comparison.groups, strict=True):
        assert dataclasses.replace(found, scores=None) == dataclasses.replace(
            group, scores=None
        )
    found = loaded.groups[0].scores
    for name in ("values", "standard_errors", "stages", "order"):
        np.testing.assert_array_equal(getattr(found, name), getattr(SCORES, name))
    assert loaded.groups[1].scores is None
    assert str(loaded) == str(comparison)


def test_little_is_saved_and_loaded(tmp_path):
    comparison = Comparison({}, (1, 1), (None, None), {})
    comparison.to_json(str(tmp_path / "report.json"))
    assert Comparison.load(tmp_path / "report.json") == comparison


def test_the_json_is_strict(tmp_path):
    make().to_json(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=pytest.fail)
    assert content["parameters"] == [2000, 500]
    assert content["latency"]["32"] == [0.02, 0.01]
    assert content["groups"][0]["scores"]["values"] == [0.5, -0.25, None, 2.0]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"format": "x"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"`Comparison\.to_json` wrote"):
        Comparison.load(tmp_path / "other.json")
