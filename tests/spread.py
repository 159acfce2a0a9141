"""Runs a script under a `tf.distribute.Strategy`, in processes of its own.

How many devices TensorFlow has, and that it is one of several workers, is said before
it is imported. `python tests/spread.py SCRIPT OUTPUT STRATEGY [ARGUMENT…]` runs the
function `main(*arguments)` of a module of this folder, in the scope of a strategy, and
writes the arrays that it returns, a dict, to an .npz file.
"""

import importlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
# "none" and these: the kind, how many devices or processes.
STRATEGIES = ("one_device", "mirrored-2", "mirrored-4", "workers-2", "workers-3")


def start(script, folder, strategy, *arguments, task=0, addresses=()):
    """Starts one process.

    Args:
        script: String, the name of a module of this folder.
        folder: A `pathlib.Path`, where `OUTPUT` is written: `STRATEGY-TASK.npz`.
        strategy: `"none"` or one of `STRATEGIES`.
        *arguments: Strings, for `main`.
        task: Integer, which worker it is.
        addresses: List of strings, those of all workers.

    Returns:
        A `subprocess.Popen`.
    """
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
    paths = [str(HERE.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if addresses:
        cluster = {"worker": addresses}
        config = {"cluster": cluster, "task": {"type": "worker", "index": task}}
        environment["TF_CONFIG"] = json.dumps(config)
    output = folder / f"{strategy}-{task}.npz"
    command = [sys.executable, __file__, script, output, strategy, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


def start_all(script, folder, strategy, *arguments):
    """Starts all processes of a strategy, see `start`. Returns a list of them."""
    kind, _, number = strategy.partition("-")
    # A command opens the strategy of several processes by itself.
    is_shared = kind in ("workers", "command")
    count = int(number) if is_shared else 1
    addresses = _free_addresses(count) if is_shared else ()
    return [
        start(script, folder, strategy, *arguments, task=k, addresses=addresses)
        for k in range(count)
    ]


def kill_one(processes, which, is_time, timeout=120):
    """Kills one of several workers, and returns what the others print as they end.

    Args:
        processes: List of `subprocess.Popen`.
        which: Integer, the worker that is killed.
        is_time: Callable that returns whether it is time to.
        timeout: Float, seconds within which it is time, and the others end.

    Raises:
        AssertionError: If one of them goes on, or ends as if nothing had happened.
    """
    end = time.monotonic() + timeout
    while not is_time():
        assert time.monotonic() < end, "it was never time"
        assert all(process.poll() is None for process in processes), "one has ended"
        time.sleep(0.01)
    processes[which].kill()
    outputs = []
    for process in processes:
        try:
            outputs.append(process.communicate(timeout=timeout)[0])
        finally:
            process.kill()
        assert process.returncode
    return [text for place, text in enumerate(outputs) if place != which]


def finish(processes, timeout=300):
    """Waits for processes, and returns their outputs, a list of strings.

    Raises:
        AssertionError: If one of them failed.
    """
    outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def load(folder, strategy, task=0):
    """Returns the arrays that a process has written, a dict."""
    import numpy as np

    with np.load(folder / f"{strategy}-{task}.npz") as file:
        return dict(file)


def _free_addresses(count):
    # All are held at once: else the same port could be given twice.
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def _open(strategy):
    """Returns a strategy, `None` for "none"."""
    import tensorflow as tf

    kind, _, number = strategy.partition("-")
    if kind == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        devices = [tf.config.LogicalDeviceConfiguration()] * int(number)
        tf.config.set_logical_device_configuration(cpu, devices)
        return tf.distribute.MirroredStrategy([f"CPU:{k}" for k in range(int(number))])
    if kind == "workers":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.OneDeviceStrategy("CPU:0") if kind == "one_device" else None


def _run(script, output, strategy, *arguments):
    import contextlib

    import numpy as np

    opened = _open(strategy)
    with opened.scope() if opened is not None else contextlib.nullcontext():
        np.savez(output, **importlib.import_module(script).main(*arguments))


if __name__ == "__main__":
    _run(*sys.argv[1:])
