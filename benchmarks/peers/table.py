"""The rows that every peer's script appends to, and the tables drawn from them.

Needs nothing but Python and NumPy, so that it runs in the peers' environments.
"""

import csv
import pathlib

import numpy as np

FIELDS = """peer network layers method repair of ratio seed accuracy flops params
    seconds""".split()
KEYS = FIELDS[:8]


def parse_arguments(parser):
    """Adds the options that the peers' scripts share, and reads all.

    Args:
        parser: An `argparse.ArgumentParser` with a script's own options.
    """
    parser.add_argument("--cache", type=pathlib.Path, default=".cache")
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    return parser.parse_args()


def read(path):
    """Returns the rows of a CSV file as dicts, an empty list if there is none."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["seed"] = int(row["seed"])
        for name in ("ratio", "accuracy", "flops", "params", "seconds"):
            row[name] = float(row[name])
    return rows


class Table:
    """Appends rows to a CSV file, and knows which are there already."""

    def __init__(self, path):
        self.path = path
        self.done = {tuple(row[key] for key in KEYS) for row in read(path)}

    def has(self, *keys):
        """Tells if there is a row with these first eight fields."""
        return keys in self.done

    def add(self, *values):
        """Appends a row and prints it."""
        is_new = not self.path.exists()
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(FIELDS)
            writer.writerow(values)
        self.done.add(values[:8])
        print(*values[:8], f"{values[8]:.4f} FLOPs {values[9]:.3f}", flush=True)


def print_table(rows):
    """Prints Markdown: mean accuracies over the draws, a table for each budget."""
    budgets = dict.fromkeys((row["network"], row["layers"], row["of"]) for row in rows)
    for network, layers, of in budgets:
        here = [
            row
            for row in rows
            if (row["network"], row["layers"], row["of"]) == (network, layers, of)
        ]
        print(f"\n{network}, {layers}, 25 / 50 / 75 % of the {of} gone\n")
        print("| | repair | accuracy | FLOPs left | draws | seconds |")
        print("|---|---|---|---|---|---|")
        for way in dict.fromkeys((r["peer"], r["method"], r["repair"]) for r in here):
            found = [r for r in here if (r["peer"], r["method"], r["repair"]) == way]
            print(_line(*way, found))


def _line(peer, method, repair, rows):
    accuracies, flops = [], []
    for ratio in sorted({row["ratio"] for row in rows}):
        cells = [row for row in rows if row["ratio"] == ratio]
        accuracies.append(f"{100 * np.mean([row['accuracy'] for row in cells]):.1f}")
        flops.append(f"{100 * np.mean([row['flops'] for row in cells]):.0f}")
    seconds = np.median([row["seconds"] for row in rows])
    num_draws = len({row["seed"] for row in rows})
    cells = [f"{peer}: {method}", repair, " / ".join(accuracies), " / ".join(flops)]
    return "| " + " | ".join([*cells, str(num_draws), f"{seconds:.1f}"]) + " |"
