"""What the paper's experiments share: rows that outlive a killed run, and progress.

An experiment is a list of runs, each with a key: the values of the first columns of its
table. Rows are written as soon as their run has ended, so that the same command goes on
where it was stopped, and the time that is left is estimated from the runs so far.
"""

import csv
import importlib.metadata
import time

import keras
import tensorflow as tf

import keras_shapley_prune


class Runs:
    """The rows of an experiment.

    Args:
        path: A `pathlib.Path` of the CSV file. Rows that it has are kept.
        columns: String, the names of the columns.
        num_keys: Integer, how many of the columns, from the first on, name a run. A run
            may have several rows.

    Raises:
        ValueError: If the file has other columns.
    """

    def __init__(self, path, columns, num_keys):
        self.path, self.columns, self._num_keys = path, columns.split(), num_keys
        self.rows, found = [], self.columns
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                found, *self.rows = list(csv.reader(file)) or [self.columns]
        if found != self.columns:
            raise ValueError(
                f"Expected {path} to have the columns {self.columns}. Received: {found}"
            )

    def run(self, keys, function, weight=None):
        """Runs what has no rows yet, and prints how long the rest will take.

        Args:
            keys: List of tuples, the runs.
            function: Callable `fn(*key)` that returns the rows of a run: lists of the
                values of the columns behind those of the key.
            weight: Callable `fn(*key)` that returns about how long a run takes, in any
                unit. `None` if all take the same time.
        """
        weight = weight or (lambda *key: 1)
        left = [key for key in keys if not self.find(key)]
        whole, done, start = sum(weight(*key) for key in left), 0, time.monotonic()
        print(f"{len(keys) - len(left)} of {len(keys)} runs are in {self.path}")
        for number, key in enumerate(left, start=1):
            self._add(key, function(*key))
            done += weight(*key)
            seconds = time.monotonic() - start
            rest = seconds / done * (whole - done)
            name = " ".join(map(str, key))
            print(
                f"[{number}/{len(left)}] {name}: {seconds / 60:.1f} min so far, "
                f"about {rest / 60:.1f} min to go",
                flush=True,
            )

    def find(self, key):
        """Returns the rows of a run, lists of strings without those of the key."""
        key = [_text(part) for part in key]
        count = self._num_keys
        return [row[count:] for row in self.rows if row[:count] == key]

    def _add(self, key, rows):
        rows = [[*map(_text, key), *map(_text, row)] for row in rows]
        new = not self.path.exists()
        # The rows of a run in one piece: a killed process leaves none of them, or all.
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([self.columns, *rows] if new else rows)
        self.rows += rows


def print_versions(**settings):
    """Prints the versions of what a result depends on, and the settings of the run."""
    names = {
        "keras_shapley_prune": keras_shapley_prune.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": importlib.metadata.version("numpy"),
    }
    print(", ".join(f"{name} {version}" for name, version in names.items()))
    print(", ".join(f"{name} {value}" for name, value in settings.items()))


def _text(value):
    return f"{value:.4f}" if isinstance(value, float) else str(value)
