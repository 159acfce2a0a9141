"""Tests of repair and training that devices and processes share.

Largest difference from the weights of one device, relative to the largest weight: with
several processes 2e-7 (batches of other sizes), with several devices of one process
0 for repair and 4e-8 for training.
"""

import signal
import time

import numpy as np
import pytest
import spread
import spread_killed
import spread_repair

TOLERANCE = 1e-6
RUNS = [
    pytest.param("mirrored-2", ["mimic of one", "fit"]),
    *(
        pytest.param(strategy, list(spread_repair.CASES), marks=pytest.mark.slow)
        for strategy in spread.STRATEGIES
    ),
]
LONGEST = 60.0  # seconds until the others know that a worker is lost


@pytest.fixture(scope="module")
def expected():
    """Returns a function that returns the weights of cases without a strategy."""
    found = {}

    def compute(cases):
        missing = [case for case in cases if f"{case}.0" not in found]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spread_repair.batches_module, "LARGEST_BYTES", 0)
            found.update(spread_repair.main(*missing) if missing else {})
        return {name: a for name, a in found.items() if _case_of(name) in cases}

    return compute


def _case_of(name):
    return name.rpartition(".")[0]


@pytest.mark.filterwarnings("ignore:Expected calibration data like")
@pytest.mark.parametrize("strategy, cases", RUNS)
def test_weights_are_those_of_one_device(strategy, cases, expected, tmp_path):
    processes = spread.start_all("spread_repair", tmp_path, strategy, *cases)
    wanted = expected(cases)
    spread.finish(processes)
    found = spread.load(tmp_path, strategy)
    for case in cases:
        names = [name for name in wanted if _case_of(name) == case]
        if case == "fit":
            # Keras fits no network at all on several workers.
            assert strategy.startswith("workers") or all(found[n] for n in names)
            continue
        assert names
        size = max(np.abs(wanted[name]).max() for name in names)
        for name in names:
            np.testing.assert_allclose(
                found[name], wanted[name], rtol=0, atol=TOLERANCE * size, err_msg=name
            )
    assert ("in: inputs of the data" in str(found["refused"])) == (len(processes) > 1)
    for task in range(1, len(processes)):
        other = spread.load(tmp_path, strategy, task)
        for name, array in found.items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["repair", "mimic"])
def test_a_killed_worker_stops_the_other_and_the_run_goes_on(phase, tmp_path):
    strategy, script = "workers-2", spread_killed.__name__
    arguments = "40"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    spread.finish(
        spread.start_all(script, whole, strategy, str(whole / "run"), arguments)
    )
    run = str(killed / "run")
    processes = spread.start_all(script, killed, strategy, run, arguments)
    _wait_for(killed / "run", phase)
    processes[1].send_signal(signal.SIGKILL)
    output, _ = processes[0].communicate(timeout=LONGEST)
    processes[1].communicate()
    assert processes[0].returncode not in (0, None)
    assert "WorkerLostError: Expected all workers to run to the end" in output
    assert "the same call goes on from there" in output
    kept = {path: path.stat().st_mtime_ns for path in _layers(killed / "run")}
    assert kept
    spread.finish(spread.start_all(script, killed, strategy, run, arguments))
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written  # it was read, and not made again
    ours, theirs = spread.load(killed, strategy), spread.load(whole, strategy)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


def _layers(folder):
    return list(folder.glob("repair-*.npz"))


def _wait_for(folder, phase):
    """Waits until a phase has written something."""
    deadline = time.monotonic() + 300
    while not list(folder.glob(f"{phase}-*.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
