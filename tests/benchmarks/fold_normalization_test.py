"""Tests of what is written down of the benchmark of folding."""

import csv

import pytest
from scripts import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "fold_normalization.csv"
with open(RESULTS, newline="", encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def shares(runtime):
    """Returns the least and the largest share of the time, as pages show them."""
    found = [float(row["share"]) for row in ROWS if row["runtime"] == runtime]
    return f"{min(found):.2f} to {max(found):.2f}"


def test_the_table_shows_what_was_measured():
    shown = page("docs/deployment.md")
    for network in dict.fromkeys(row["network"] for row in ROWS):
        rows = {row["runtime"]: row for row in ROWS if row["network"] == network}
        cells = [
            f"{float(row['original']):,g} → {float(row['folded']):,g} "
            f"({float(row['share']):.2f})"
            for row in rows.values()
        ]
        (first, *_) = rows.values()
        cells = [first["normalizations"], *cells, first["difference"]]
        for part in (cells[:3], cells[3:]):  # two tables, each as wide as a phone
            assert f" | {' | '.join(part)} |" in shown, network


@pytest.mark.parametrize("name", ["docs/latency.md", "CHANGELOG.md"])
def test_the_range_is_that_of_the_table(name):
    text = " ".join(page(name).split())
    expected = f"{shares('tensorflow_1')} (batch of 1)"
    assert expected in text
    assert f"{shares('tensorflow_32')} (batch of 32)" in text


def test_all_were_folded_and_none_is_slower():
    assert all(row["left"] == "0" for row in ROWS)
    in_tensorflow = [row for row in ROWS if not row["runtime"].startswith("litert")]
    assert max(float(row["share"]) for row in in_tensorflow) < 1
    assert max(float(row["difference"]) for row in ROWS) < 1e-4
