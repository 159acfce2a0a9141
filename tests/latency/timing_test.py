"""Tests of timing in turn, by a clock that the functions move."""

import types

import numpy as np
import pytest

from keras_shapley_prune.latency import timing
from keras_shapley_prune.latency.timing import Timing, time_in_turn


@pytest.fixture
def clock(monkeypatch):
    """A list of one number, the time in seconds."""
    now = [0.0]
    fake = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(timing, "time", fake)
    return now


def spend(clock, seconds, turns, name):
    """Returns a function that takes so many seconds, one number for each run."""
    left = list(seconds)

    def run():
        turns.append(name)
        clock[0] += left.pop(0)

    return run


def test_medians_and_quartiles_of_functions_that_take_turns(clock):
    turns = []
    fast = spend(clock, [50, 60, 3, 1, 5, 4, 2], turns, "fast")
    slow = spend(clock, [70, 80, 10, 90, 30, 20, 40], turns, "slow")
    assert time_in_turn([fast, slow], num_runs=5) == [
        Timing(3.0, 2.0, 4.0, 1.0, 5),
        Timing(30.0, 20.0, 40.0, 10.0, 5),
    ]
    assert turns == ["fast"] * 2 + ["slow"] * 2 + ["fast", "slow"] * 5


def test_what_is_short_is_run_several_times_a_sample(clock):
    turns = []
    short = spend(clock, [1.0] + [0.25] * 31, turns, "short")
    long = spend(clock, [2.0] * 12, turns, "long")
    timings = time_in_turn([short, long], num_runs=10, least_seconds=0.75)
    assert [t.median for t in timings] == [0.25, 2.0]
    assert timings[0].num_runs == 10
    assert turns[4:] == ["short", "short", "short", "long"] * 10


def test_no_time_at_all(clock):
    (found,) = time_in_turn([lambda: None], 2, least_seconds=1e-6)
    assert found == Timing(0.0, 0.0, 0.0, 0.0, 2)


@pytest.mark.parametrize(
    ("num_runs", "max_seconds", "expected"),
    [(9, 0.0, 3), (9, 4.5, 5), (5, 60.0, 5), (2, 0.0, 2), (4, None, 4)],
)
def test_within_a_time(clock, num_runs, max_seconds, expected):
    turns = []
    run = spend(clock, [1.0] * 20, turns, "run")
    (found,) = time_in_turn([run], num_runs, max_seconds)
    assert found.num_runs == expected
    assert len(turns) == expected + 2  # to warm up


def test_another_clock_times_the_runs_and_not_the_end(clock):
    other, turns = [0.0], []

    def run():
        turns.append(1)
        other[0] += 2.0
        clock[0] += 10.0  # what passes, as other programs run too

    found = time_in_turn([run], 9, max_seconds=35.0, clock=lambda: other[0])
    assert found == [Timing(2.0, 2.0, 2.0, 2.0, 4)]


def test_real_work_is_told_apart():
    rows = [np.ones((n, n)) for n in (20, 200)]
    small, large = time_in_turn([lambda m=m: m @ m for m in rows], num_runs=5)
    assert 0 < small.fastest <= small.low <= small.median <= small.high
    assert small.median < large.median


def test_how_much_is_done(clock):
    shares = []
    run = spend(clock, [10] * 12, [], "run")
    time_in_turn([run], 10, max_seconds=40.0, on_share=shares.append)
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]
