"""Tests of a comparison as text and as JSON."""

import dataclasses
import json

import numpy as np
import pytest
from comparisons import SCORES, make

from keras_shapley_prune import Comparison


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


def test_saved_is_loaded(tmp_path):
    comparison = make()
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
