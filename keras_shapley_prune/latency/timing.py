"""Times several functions in turn, so that what slows the machine slows them alike."""

import dataclasses
import math
import time

import numpy as np

LEAST_SECONDS = 5e-4  # of a sample: a clock and its call take a ten-thousandth of it
_FEWEST = 3  # samples that are taken however long they last


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long one run of a function takes, in seconds of the clock that was read.

    Attributes:
        median: Float.
        low: Float, the first quartile: a quarter of the samples was faster.
        high: Float, the third quartile.
        fastest: Float, the fastest sample, which other programs have disturbed least.
        num_runs: Integer, how many samples there were. One of a short function is the
            mean of several runs, one directly after the other.
    """

    median: float
    low: float
    high: float
    fastest: float
    num_runs: int


def time_in_turn(
    runs,
    num_runs=30,
    max_seconds=None,
    least_seconds=LEAST_SECONDS,
    clock=None,
    on_share=None,
):
    """Times functions that take turns, each after two runs that are not counted.

    Args:
        runs: List of functions of no arguments, such as `Runtime.load` returns.
        num_runs: Integer, how many samples of each.
        max_seconds: Float, or `None`: after so many seconds no other turn is started,
            once each function has had three.
        least_seconds: Float. What is shorter than that is run several times for each
            sample: of microseconds, the clock would measure itself, and the caches that
            the function before has left.
        clock: Function that returns seconds, `None` for those that pass. Of functions
            of one thread, `time.process_time` counts what the processor spends on
            them, and not what it spends on other programs meanwhile.
        on_share: Callable `fn(share)`, told after each turn how much is done, or
            `None`.

    Returns:
        List of `Timing`, one for each function.
    """
    clock = clock or time.perf_counter
    repeats = [_warm_up(run, least_seconds, clock) for run in runs]
    start, samples = time.perf_counter(), []
    while len(samples) < num_runs:
        spent = time.perf_counter() - start
        late = max_seconds is not None and spent > max_seconds
        if late and len(samples) >= _FEWEST:
            break
        if on_share is not None:
            share = spent / max_seconds if max_seconds else 0.0
            on_share(min(max(share, len(samples) / num_runs), 1.0))
        turn = zip(runs, repeats, strict=True)
        samples.append([_time(run, count, clock) for run, count in turn])
    return [_summarize(values) for values in np.array(samples).T]


def _warm_up(run, least_seconds, clock):
    """Runs a function twice; returns how many runs a sample needs."""
    run()
    seconds = _time(run, 1, clock)
    return max(1, math.ceil(least_seconds / max(seconds, 1e-7)))


def _time(run, repeats, clock):
    start = clock()
    for _ in range(repeats):
        run()
    return (clock() - start) / repeats


def _summarize(values):
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Timing(median, low, high, float(values.min()), len(values))
