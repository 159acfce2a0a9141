"""Tests of the progress bar."""

import time

import numpy as np
import pytest

from keras_shapley_prune.inputs.arguments import check_verbose
from keras_shapley_prune.rank.progress import Progress
from keras_shapley_prune.rank.ranking import GroupScores


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    return clock


SCORES = GroupScores(np.zeros(2), np.zeros(2), 12345)


@pytest.mark.parametrize("verbose", ["auto", 1, True])
def test_a_bar(capsys, verbose):
    progress = Progress(10.0, verbose)
    progress.add(4.0)
    assert "40/100" in capsys.readouterr().out
    progress.end_group("conv", SCORES)
    assert "conv" not in capsys.readouterr().out
    time.sleep(0.1)  # Keras's bar moves no faster
    progress.add(400.0)  # is not done before it is
    out = capsys.readouterr().out
    assert "99/100" in out
    assert "100/100" not in out
    progress.finish()
    out = capsys.readouterr().out
    assert "100/100" in out
    assert out.endswith("\n")


def test_a_line_a_group(capsys, now):
    progress = Progress(10.0, 2)
    progress.add(4.0)
    assert capsys.readouterr().out == ""
    now[0] += 3
    progress.end_group("conv", SCORES)
    assert capsys.readouterr().out == "conv: 12,345 evaluations, 3.0 s so far\n"
    progress.finish()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", [0, False])
def test_silence(capsys, verbose):
    progress = Progress(10.0, verbose)
    progress.add(4.0)
    progress.end_group("conv", SCORES)
    progress.finish()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", ["yes", 3, -1, None, [], "2"])
def test_bad_verbose(verbose):
    for call in (check_verbose, lambda value: Progress(1.0, value)):
        with pytest.raises(ValueError, match=r"`verbose` should be 'auto', 0, 1 or 2"):
            call(verbose)
