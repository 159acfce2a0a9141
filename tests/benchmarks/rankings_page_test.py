"""Tests that docs/rankings.md shows what was measured."""

import sys

import pytest
from scripts import ROOT, load


@pytest.fixture(scope="module")
def page():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "rankings_page.py")
    sys.path[:] = path


def test_the_page_has_the_tables_that_are_printed(page):
    text = (ROOT / "docs" / "rankings.md").read_text(encoding="utf-8")
    tables = page.show_all(ROOT / "benchmarks" / "results")
    assert len(tables) == 8
    for table in tables:
        assert len(table.splitlines()) > 5
        assert table in text, table


def test_costs_that_do_not_last_are_followed_by_those_that_do(page, tmp_path):
    header = "kind,game,group,estimator,cost,seed,relmse,tau,overlap"
    rows = [
        "exact,digits,conv,shared_permutation,5,0,1,0.5,1",
        "exact,digits,conv,permutation,0.05,0,1,0.6,1",
        "exact,digits,conv,permutation,1,0,1,0.4,1",
        "exact,digits,conv,permutation,5,0,1,0.9,1",
        "exact,digits,conv,gradient,5,0,1,0.1,1",
    ]
    (tmp_path / "estimators.csv").write_text("\n".join([header, *rows]))
    line = page.show_paper_order(tmp_path).splitlines()[-1]
    assert line == "| digits conv | 0.05 (5) | – | – | – |"


def test_a_table_is_markdown(page):
    assert (
        page.to_markdown(["a", "b"], [["1", "2"]])
        == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    )
