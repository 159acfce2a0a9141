"""A network that returns the larger of two numbers: what each metric says of its units.

    python benchmarks/paper/max_network.py [--examples 5000] [--seed 0]

The first experiment of "Shapley Value as Principled Metric for Structured Network
Pruning" (Ancona et al., arXiv 2006.01795, figure 1). Four hidden units with ReLUs
compute `max(a, b)` exactly: the first two are (b - a) / 4 and a - b where these are
positive, the last two are both a + b, of which the output does not read the fourth.
Inputs are uniform on [0, 10]^2, the loss is the absolute error.

Shapley values can be found by hand: the mean of |a - b| / 4 for the first two, the mean
of (a + b) / 2 for the third and 0 for the fourth. Weight norms and APoZ see no
difference between the last two, and the loss has no gradient at its minimum.

Writes paper_max_network.csv and .png.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators, games

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from networks import parse_arguments, write_csv
from paper.runs import print_versions

HIDDEN = [[-0.25, 1.0, 1.0, 1.0], [0.25, -1.0, 1.0, 1.0]]
OUTPUT = [[2.0], [0.5], [0.5], [0.0]]
BY_HAND = (10 / 12, 10 / 12, 5.0, 0.0)
LOSS = games.Loss("mae")
METRICS = {
    "weight norm (L2)": ksp.BaselineRanker("l2_norm"),
    "APoZ": ksp.BaselineRanker("apoz"),
    "sensitivity": ksp.BaselineRanker("sensitivity", LOSS),
    "Taylor": ksp.BaselineRanker("taylor", LOSS),
    "Taylor, signed": ksp.BaselineRanker("taylor_signed", LOSS),
    "Shapley value, exact": ksp.ShapleyRanker(LOSS, estimators.Exact()),
    "Shapley value, the paper's estimator": ksp.ShapleyRanker(
        LOSS, estimators.SharedPermutation(num_draws=5)
    ),
    "Shapley value, an order for each example": ksp.ShapleyRanker(
        LOSS, estimators.Permutation(num_draws=1)
    ),
}
HEADER = "metric unit1 unit2 unit3 unit4 error1 error2 error3 error4 evaluations"


def build():
    """Returns the network, compiled with its loss."""
    inputs = keras.Input((2,))
    hidden = layers.Dense(4, "relu", use_bias=False, name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False, name="max")(hidden))
    model.set_weights([np.array(HIDDEN), np.array(OUTPUT)])
    model.compile(loss="mae")
    return model


def draw(num_examples, seed):
    """Returns `(x, y)`: pairs of numbers, and the larger of each."""
    pairs = np.random.default_rng(seed).uniform(0, 10, (num_examples, 2))
    pairs = pairs.astype("float32")
    return pairs, pairs.max(axis=1)


def measure(num_examples, seed):
    """Yields a row for each metric: its name, values, errors and evaluations."""
    model, data = build(), draw(num_examples, seed)
    for name, ranker in METRICS.items():
        found = ranker.rank(model, data, ratio=0.75, verbose=0)["hidden"]
        errors = found.standard_errors
        yield name, *found.values, *errors, found.num_evaluations


def plot(rows, path):
    """Draws a panel for each metric, with the values found by hand beside Shapley's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 4, figsize=(11, 4.6), layout="constrained")
    for panel, (name, *numbers, _) in zip(panels.flat, rows, strict=True):
        values = np.array(numbers[:4], float)
        panel.bar(range(1, 5), values, color="#4c72b0")
        if name.startswith("Shapley"):
            panel.plot(range(1, 5), BY_HAND, "kD", markersize=4, label="by hand")
            panel.legend(frameon=False, fontsize=8)
        panel.set_title(name.replace(", ", ",\n", 1), fontsize=9)
        panel.set_xticks(range(1, 5))
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("hidden unit")
    figure.supylabel("value")
    figure.savefig(path, dpi=100)


def main():
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parse_arguments(parser)
    rows = [
        [str(v) if isinstance(v, (str, int)) else f"{v:.3f}" for v in row]
        for row in measure(args.examples, args.seed)
    ]
    print_versions(seed=args.seed, examples=args.examples)
    for name, *values in rows:
        print(f"{name:42}" + "".join(f"{value:>9}" for value in values[:4]))
    print(f"{'by hand':42}" + "".join(f"{value:9.3f}" for value in BY_HAND))
    write_csv(args.output / "paper_max_network.csv", HEADER, rows)
    plot(rows, args.output / "paper_max_network.png")


if __name__ == "__main__":
    main()
