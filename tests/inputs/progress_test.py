"""Tests of the progress bar."""

import re

import pytest
from bars import check_whole, drawn

from keras_shapley_prune.inputs.arguments import check_verbose
from keras_shapley_prune.inputs.progress import Progress, show_progress

STEPS = {"rank": 6.0, "repair": 3.0, "check": 1.0}


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    return clock


@pytest.mark.parametrize("verbose", ["auto", 1, True])
def test_a_bar_over_all_steps(capsys, verbose):
    with Progress(verbose, STEPS) as progress:
        progress.begin("rank")
        progress.show("ranking conv")
        progress.add(0.5)
        progress.note("conv")  # is for lines
        progress.begin("repair")
        progress.show("repairing conv")
        progress.add(1.0)
        progress.begin("check")
        progress.add(1.0)
    out = capsys.readouterr().out
    check_whole(out)
    assert drawn(out) == [
        (0, "ranking conv"),
        (30, "ranking conv"),
        (60, "repairing conv"),
        (90, "repairing conv"),
        (99, "repairing conv"),  # it is not done before it is
        (100, ""),
    ]


def test_plans_that_change_or_are_too_low_never_take_it_back(capsys):
    with Progress(1, STEPS) as progress:
        progress.begin("rank", 4.0)  # of 8
        for _ in range(30):
            progress.add(0.1)
        progress.show("ranking dense")
        progress.begin("repair", 300.0)
        progress.show("repairing dense")
        progress.begin("unplanned", 1.0)
        progress.show("the rest")
    out = capsys.readouterr().out
    check_whole(out)
    assert (50, "ranking dense") in drawn(out)


def test_nothing_is_drawn_unless_something_has_changed(capsys):
    with Progress(1, STEPS) as progress:
        progress.begin("rank")
        for _ in range(10_000):
            progress.show("ranking conv")
            progress.add(1e-4)
    # 60 percents, without 1 %, which Keras's estimate would take to be the first step
    assert len(drawn(capsys.readouterr().out)) == 61


def test_nothing_is_drawn_if_nothing_begins(capsys):
    with Progress(1):
        pass
    assert capsys.readouterr().out == ""


def test_an_error_ends_the_line(capsys):
    with pytest.raises(KeyboardInterrupt), Progress(1, STEPS) as progress:
        progress.begin("rank")
        progress.show("ranking conv")
        raise KeyboardInterrupt
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert drawn(out) == [(0, "ranking conv")]


def test_an_error_before_it_is_drawn(capsys):
    with pytest.raises(ValueError, match="early"), Progress(1, STEPS) as progress:
        progress.begin("rank")
        raise ValueError("early")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", [80, 60])
def test_a_line_fits_into_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    with Progress(1, STEPS) as progress:
        progress.begin("repair")
        progress.show("repairing backbone/stage_4/block_3/depthwise_conv")
    text = re.sub("\x1b\\[\\d+m|\b", "", capsys.readouterr().out)
    first = text.split("\r")[1]
    assert len(first) < columns
    assert "repa" in first
    assert "..." in first
    assert first.endswith("onv")


def test_lines(capsys, now):
    with Progress(2, STEPS) as progress:
        progress.begin("rank")
        progress.show("ranking conv")
        progress.add(0.5)
        assert capsys.readouterr().out == ""
        now[0] += 3
        progress.note("conv: 12,345 evaluations")
        assert capsys.readouterr().out == "conv: 12,345 evaluations, 3.0 s so far\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", [0, False])
def test_silence(capsys, verbose):
    with Progress(verbose, STEPS) as progress:
        progress.begin("rank")
        progress.show("ranking conv")
        progress.add(0.4)
        progress.note("conv")
    assert capsys.readouterr().out == ""


def test_one_that_is_handed_on_goes_on(capsys):
    with Progress(1, STEPS) as progress:
        with show_progress(progress, 0) as shown:
            assert shown is progress
            shown.begin("rank")
            shown.show("ranking conv")
        assert drawn(capsys.readouterr().out) == [(0, "ranking conv")]
    assert drawn(capsys.readouterr().out) == [(100, "")]
    with show_progress(None, 1) as shown:
        shown.begin("rank", 1.0)
        shown.add(0.5)
    assert drawn(capsys.readouterr().out) == [(50, ""), (100, "")]


def test_a_part_has_steps_of_its_own(capsys):
    with Progress(1, {"first": 5.0, "second": 5.0}) as progress:
        progress.begin("first")
        part = progress.part({"cut": 1.0, "fit": 3.0}, "trial 1 of 2, ")
        part.begin("cut")
        part.show("cutting")
        part.begin("fit")
        part.add(0.5)
        part.show("fitting")
        progress.begin("second")
        part = progress.part({"fit": 1.0}, "trial 2 of 2, ")
        part.begin("fit")
        part.show_share("fitting", 0.5)
        progress.show("the end")
    out = capsys.readouterr().out
    check_whole(out)
    assert drawn(out) == [
        (0, "trial 1 of 2, cutting"),
        (31, "trial 1 of 2, cutting"),
        (31, "trial 1 of 2, fitting"),
        (75, "trial 2 of 2, fitting"),
        (75, "the end"),
        (100, ""),
    ]


def test_a_part_has_no_lines(capsys):
    with Progress(2, {"first": 1.0}) as progress:
        progress.begin("first")
        progress.part({}, "trial 1: ").note("repaired")
    assert capsys.readouterr().out == ""


def test_steps_to_come_are_planned_anew(capsys):
    with Progress(1, {"rank": 1.0, "repair": 1.0, "check": 1.0}) as progress:
        progress.begin("rank")
        progress.add(1.0)
        progress.replan({"rank": 9.0, "repair": 3.0, "other": 9.0})
        progress.begin("repair")
        progress.add(1.0)
    assert [percent for percent, _ in drawn(capsys.readouterr().out)] == [33, 83, 100]


@pytest.mark.parametrize("verbose", ["yes", 3, -1, None, [], "2"])
def test_bad_verbose(verbose):
    for call in (check_verbose, Progress):
        with pytest.raises(ValueError, match=r"`verbose` should be 'auto', 0, 1 or 2"):
            call(verbose)
