"""Tests of how far a training has come."""

import pytest

from keras_shapley_prune.repair import pace as pace_module
from keras_shapley_prune.repair.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    """A list with the time, in seconds, which only the test changes."""
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def advance(clock, seconds):
    clock[0] += seconds


def run(pace, clock, step, check, check_every=5):
    """Runs a training whose steps and checks take that many seconds, returns shares."""
    shares = []
    while pace.goes_on():
        shares.append(pace.share)
        pace.step(lambda: advance(clock, step))
        if pace.num_done % check_every == 0 or not pace.goes_on():
            pace.check(lambda: advance(clock, check))
    return shares


def test_steps_are_counted():
    pace, shares = Pace(num_steps=4), []
    while pace.goes_on():
        shares.append(pace.share)
        pace.step(lambda: None)
    assert shares == [0, 0.25, 0.5, 0.75]
    assert pace.num_done == 4
    assert pace.share == 1


def rates(num_steps):
    pace, found = Pace(num_steps=num_steps), []
    while pace.goes_on():
        found.append(pace.rate)
        pace.step(lambda: None)
    assert pace.rate == pytest.approx(0)
    return found


def test_the_rate_falls_as_a_cosine():
    assert rates(4) == pytest.approx([1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5])


def test_the_rate_rises_in_the_first_tenth():
    found, cosine = rates(40), rates(4)
    assert found[:3] == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    assert max(found) == found[3] > 0.98
    assert found[10::10] == pytest.approx(cosine[1:])


def test_the_rate_rises_by_the_clock_too(clock):
    pace = Pace(minutes=1)
    pace.step(lambda: advance(clock, 10))  # with what it compiles
    found = []
    for _ in range(6):
        pace.step(lambda: advance(clock, 1))
        found.append(pace.rate)
    assert found[0] == pytest.approx(0.4, abs=0.01)
    assert found == sorted(found[:4]) + sorted(found[4:], reverse=True)


@pytest.mark.parametrize("check", [0.5, 4.0])
def test_time_is_not_overrun_by_a_check(clock, check):
    pace = Pace(minutes=1)
    shares = run(pace, clock, 1.0, check)
    assert 160 - 1 - check <= clock[0] <= 160
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.8


def test_time_before_the_first_step_counts_but_lowers_no_rate(clock):
    pace = Pace(minutes=1)
    advance(clock, 30)
    shares = run(pace, clock, 1.0, 0.0)
    assert pace.num_done == 29
    assert shares[:2] == [0, 0]
    assert shares[16] == pytest.approx(15 / 29)


def test_what_the_first_step_compiles_is_not_expected_again(clock):
    pace = Pace(minutes=1)
    pace.step(lambda: advance(clock, 40))
    assert pace.goes_on()


def test_no_step_when_the_time_is_over(clock):
    pace = Pace(minutes=0.1)
    advance(clock, 7)
    assert not pace.goes_on()
    assert pace.num_done == 0


def test_the_first_workers_clock_is_that_of_all(clock, monkeypatch):
    class Second:
        """Workers of which this one is not the first."""

        def agree(self, *numbers):
            return [1.0] * len(numbers) if len(numbers) == 1 else [0.5, 0.0]

    monkeypatch.setattr(pace_module, "current_workers", Second)
    pace = Pace(minutes=0.1)
    advance(clock, 7)
    assert pace.goes_on()
    assert pace.rate == pytest.approx(0.5)
    pace = Pace(num_steps=1)  # steps need no clock
    assert pace.goes_on() and pace.rate == 1


@pytest.mark.parametrize("arguments", [{"num_steps": 9}, {"minutes": 0.2}])
def test_another_process_goes_on(clock, arguments):
    """Neither the time between the two counts, nor what the second one compiles."""
    whole, first = Pace(**arguments), Pace(**arguments)
    whole_shares = run(whole, clock, 1.0, 0.5)
    clock[0] = 100.0
    first = Pace(**arguments)
    shares = []
    for _ in range(4):
        shares.append(first.share)
        first.step(lambda: advance(clock, 1.0))
    state = first.state
    clock[0] = 5000.0
    second = Pace(**arguments)
    second.restore(state)
    assert second.num_done == 4
    shares += run(second, clock, 1.0, 0.5)
    assert shares == pytest.approx(whole_shares)
    assert second.num_done == whole.num_done


def test_what_is_compiled_again_is_not_expected_again(clock):
    first, second = Pace(minutes=1), Pace(minutes=1)
    for _ in range(2):
        first.step(lambda: advance(clock, 1))
    second.restore(first.state)
    second.step(lambda: advance(clock, 40))
    assert second.goes_on()
