"""Real processes that prune a network, and are killed on the way.

    python tests/killed_runs.py [PHASE ...] [NUMBER [SEED]]

kills ten processes (or NUMBER) in each phase, and prints how many of those that went on
ended bit-equal.
"""

import collections
import contextlib
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import numpy as np

PHASES = ("ranking", "repair", "mimic")
LONGEST = 600.0  # seconds that a process may take


def build():
    """Returns a small network of random weights, always the same, and images."""
    import keras
    from keras import layers

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    x = layers.Conv2D(12, 3, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(10, 1, activation="relu")(x)
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    images = np.random.default_rng(0).normal(size=(24, 8, 8, 2))
    return keras.Model(inputs, outputs), images.astype("float32")


def prune_it(folder=None, output=None, num_steps=40, **arguments):
    """Prunes the network as users do; running sums are kept all the time.

    Args:
        folder: String, the checkpoint.
        output: String, an `.npz` file for the weights, or `None`.
        num_steps: Integer, of the training.
        **arguments: Others of `prune`.

    Returns:
        The pruned model.
    """
    import keras_shapley_prune as ksp
    from keras_shapley_prune.checkpoint import checkpoint

    checkpoint.SECONDS = 0.0
    model, images = build()
    repair = ksp.Mimic(num_steps, batch_size=8)
    arguments = {"repair": repair, "verbose": 0, "checkpoint": folder} | arguments
    pruned = ksp.prune(model, images, 0.4, **arguments)
    if output is not None:
        with open(f"{output}.unfinished", "wb") as file:
            np.savez(file, *pruned.get_weights())
        os.replace(f"{output}.unfinished", output)
    return pruned


class Processes:
    """Starts processes that have imported the package already."""

    def __init__(self):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["keras_shapley_prune", "killed_runs"])

    def start(self, folder, output=None, **arguments):
        """Returns a process that runs `prune_it`."""
        process = self._context.Process(
            target=prune_it, args=(folder, output), kwargs=arguments
        )
        process.start()
        return process

    def run(self, folder, output, **arguments):
        """Runs `prune_it` to its end in a process.

        Returns:
            Tuple of the weights, and of how often files were written in each phase.
        """
        process = self.start(folder, output, **arguments)
        counts = follow(process, folder)
        process.join()
        assert process.exitcode == 0
        return read_weights(output), counts

    def kill(self, folder, phase, number, wait=0.0, **arguments):
        """Runs `prune_it` and kills the process in a phase.

        Args:
            folder: String.
            phase: String, one of `PHASES`.
            number: Integer, once files have been written that often in the phase.
            wait: Float, so many seconds later.
            **arguments: Those of `prune_it`.

        Returns:
            String, the phase in which it was killed, or `None` if it had ended.
        """
        process = self.start(folder, **arguments)
        follow(process, folder, phase, number)
        process.join(wait)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        return phase_of(folder) if process.exitcode == -signal.SIGKILL else None


def follow(process, folder, phase=None, number=None):
    """Counts how often a process writes the files of each phase.

    Args:
        process: The process.
        folder: String, its checkpoint.
        phase: String, one of `PHASES`, or `None` to wait for its end.
        number: Integer: returns once they have been written that often.

    Returns:
        A `collections.Counter` of phases.
    """
    deadline, seen = time.monotonic() + LONGEST, set()
    while True:
        running = process.is_alive()
        for path in pathlib.Path(folder).glob("*.npz"):
            with contextlib.suppress(FileNotFoundError):
                seen.add((path.name, path.stat().st_mtime_ns))
        counts = collections.Counter(name.split("-")[0] for name, _ in seen)
        if not running or (phase is not None and counts[phase] >= number):
            return counts
        assert time.monotonic() < deadline
        time.sleep(0.002)


def phase_of(folder):
    """Returns the phase of the last file of a checkpoint, `None` before the first."""
    names = {path.name.split("-")[0] for path in pathlib.Path(folder).glob("*.npz")}
    return next((phase for phase in reversed(PHASES) if phase in names), None)


def kill_at_random(processes, base, phase, number, seed=0):
    """Kills processes in a phase, and lets others go on where they were killed.

    All of them have what the phases before it have kept of a run that was not killed.

    Args:
        processes: The `Processes`.
        base: String, a folder for all of them.
        phase: String, one of `PHASES`.
        number: Integer, how many are killed.
        seed: Integer.

    Yields:
        Tuples, at which write of a file it was killed, of how many, and whether the
        weights are those of the run that was not killed, bit by bit.
    """
    draw, whole, count = random.Random(seed), f"{base}/whole", 0
    # Phases that come later would only take time.
    arguments = {} if phase == "mimic" else {"repair": "least_squares"}
    expected, counts = processes.run(whole, f"{whole}.npz", **arguments)
    for attempt in range(4 * number):
        if count == number:
            return
        folder, place = f"{base}/{attempt}", draw.randrange(counts[phase])
        wait = draw.uniform(0, 0.05)
        later = [f"{name}-*" for name in PHASES[PHASES.index(phase) :]]
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns(*later))
        killed = processes.kill(folder, phase, max(place, 1), wait, **arguments)
        if killed == phase:  # and it had not ended
            count += 1
            weights, _ = processes.run(folder, f"{folder}.npz", **arguments)
            yield place, counts[phase], are_equal(weights, expected)


def read_weights(path):
    """Returns the arrays of an `.npz` file, a list."""
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def are_equal(ours, theirs):
    """Returns whether two lists of arrays are the same, bit by bit."""
    return len(ours) == len(theirs) and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(ours, theirs, strict=True)
    )


def main(phases, number=10, seed=0):
    """Prints, for each phase, how many of the killed runs ended bit-equal.

    Args:
        phases: List of strings.
        number: Integer, how many are killed in each phase.
        seed: Integer.
    """
    processes = Processes()
    for phase in phases:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            killed = kill_at_random(processes, folder, phase, number, seed)
            for place, whole, same in killed:
                found.append(same)
                text = f"{sum(found)} of {len(found)} bit-equal"
                print(
                    f"{phase}: killed at write {place} of {whole}, {text}", flush=True
                )


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
    main([text for text in sys.argv[1:] if text in PHASES] or PHASES, *numbers)
