"""How close each estimator of Shapley values comes, and at what cost.

    python benchmarks/estimators.py [--seeds 3] [--output benchmarks/results]

Exact games (groups of 12 to 16 filters, all coalitions evaluated) and large games (128
filters, the truth by 40 permutations an example with another seed). Cost is counted in
walks: 1 is n + 1 evaluations of the network's suffix for each of the 200 calibration
examples, n the number of filters; a backward pass counts as two evaluations. A budget
below one draw an example is spent on fewer examples. Writes estimators.csv, .png and
coverage.csv, prints the tables.

relMSE is |estimate - truth|^2 / |truth - mean|^2, tau is Kendall's, overlap the share
of the true lower half in the estimated one: all averaged over games and seeds. The
estimators of shapiq play the game whose value is the mean over the examples, which
is the only one they know.

Coverage is the share of the units of the exact games whose 95 % interval (estimate and
1.96 standard errors) holds the value in a population of 1,200 other examples (20
permutations each), from which 200 are drawn, with replacement, for each seed.
"""

import argparse
import csv
import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
import scipy.stats
import tensorflow as tf
from keras import layers

import keras_shapley_prune
from keras_shapley_prune import estimators
from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 200
COSTS = (0.05, 0.25, 1, 5)
ESTIMATORS = {
    "permutation": estimators.Permutation,
    "shared_permutation": estimators.SharedPermutation,
    "gradient": estimators.Gradient,
    "corrected_gradient": estimators.CorrectedGradient,
}


def small_network(shape, train, path):
    """Returns a CNN of layers with 12, 14 and 16 filters, trained on `train`."""
    if path.exists():
        return keras.models.load_model(path)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape)])
    for width in (12, 14, 16):
        model.add(layers.Conv2D(width, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(*train, epochs=60 if len(train[0]) < 2000 else 6, verbose=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def load_problems(args):
    """Yields `(name, model, calibration data, population, layers, exact?)`."""
    from sklearn.datasets import load_digits

    cache = pathlib.Path(args.cache)
    images, labels = load_digits(return_X_y=True)
    digits = (images.reshape(-1, 8, 8, 1).astype("float32") / 16, labels)
    train = tuple(array[:1400] for array in digits)
    model = small_network((8, 8, 1), train, cache / "small_digits.keras")
    data = tuple(a[:NUM_EXAMPLES] for a in train)
    population = tuple(a[NUM_EXAMPLES:] for a in train)
    yield "digits", model, data, population, None, True
    fashion = networks.fashion_mnist(args)
    train = fashion.train
    model = small_network((28, 28, 1), train, cache / "small_fashion.keras")
    data, population = (fashion.calibration(n, i) for i, n in ((0, 200), (1, 1200)))
    yield "fashion", model, data, population, None, True
    convolutions = [x.name for x in fashion.model.layers if hasattr(x, "filters")]
    yield "fashion large", fashion.model, data, None, convolutions[-2:], False


def score(estimate, truth):
    """Returns relMSE, Kendall's tau and the overlap of the lower halves."""
    error = np.sum((estimate - truth) ** 2) / np.sum((truth - truth.mean()) ** 2)
    half = len(truth) // 2
    lower = [set(np.argsort(values)[:half]) for values in (estimate, truth)]
    overlap = len(lower[0] & lower[1]) / half
    return error, scipy.stats.kendalltau(estimate, truth).statistic, overlap


def rank(model, data, group, estimator, num_draws, seed):
    """Returns the scores of one group."""
    drawn = ESTIMATORS[estimator](num_draws=num_draws)
    ranker = keras_shapley_prune.ShapleyRanker("loss", drawn, batch_size=100, seed=seed)
    return ranker.rank(model, data, layers=group.name, verbose=0)[group.name]


def our_estimates(model, data, group, seed):
    """Yields `(estimator, cost in walks, values)`."""
    walk = group.num_units + 1
    for cost in COSTS:
        for estimator, draw in (
            ("permutation", 1),
            ("shared_permutation", 1),
            ("gradient", 5 / walk),
        ):
            if estimator == "shared_permutation" and cost < 1:
                continue
            num_draws = max(round(cost / draw), 1)
            count = max(round(min(cost / draw, 1) * len(data[0])), 2)
            few = tuple(array[:count] for array in data)
            scores = rank(model, few, group, estimator, num_draws, seed)
            yield estimator, cost, scores.values
        num_draws = round(
            (cost - 0.2) * walk / 5 - 0.5
        )  # a fifth of the examples walks
        if num_draws >= 1:
            scores = rank(model, data, group, "corrected_gradient", num_draws, seed)
            yield "corrected_gradient", cost, scores.values


def coalition_table(model, data, group):
    """Returns the mean value of every coalition of a group, `(2**n,)`."""
    channel_map = trace_channels(model)
    suffix = Suffix(channel_map, group)
    loss = resolve_loss(model)
    images, labels = data
    frontier = ForwardPass(channel_map.graph, [[keras.ops.array(images)]])
    frontier.advance(suffix.start)
    cut = suffix.cut_values(frontier.values(0))

    @tf.function
    def value(coalition):
        outputs = suffix.run(cut, tf.repeat(coalition[tf.newaxis], len(labels), axis=0))
        return -tf.reduce_mean(loss(labels, outputs))

    return np.array(
        [float(value(tf.constant(c))) for c in all_coalitions(group.num_units)]
    )


def measure_coverage(args):
    """Yields `(game, estimator, cost, seed, share of the units that are covered)`."""
    for name, model, _, population, _, exact in load_problems(args):
        if not exact:
            continue
        for group in trace_channels(model).groups:
            truth = rank(model, population, group, "permutation", 20, 999).values
            size = len(population[0])
            for seed in range(args.coverage_seeds):
                drawn = np.random.default_rng(seed).integers(0, size, NUM_EXAMPLES)
                sample = tuple(array[drawn] for array in population)
                for estimator, num_draws in (
                    ("permutation", 1),
                    ("permutation", 5),
                    ("gradient", 3),
                    ("corrected_gradient", 3),
                ):
                    scores = rank(model, sample, group, estimator, num_draws, seed)
                    error = np.abs(scores.values - truth)
                    covered = np.mean(error <= 1.96 * scores.standard_errors)
                    yield f"{name} {group.name}", estimator, num_draws, seed, covered


def shapiq_estimates(table, num_units, seed):
    """Yields `(estimator, cost, values)` of shapiq's estimators on a value table."""
    from shapiq import approximator

    def game(coalitions):
        numbers = np.atleast_2d(coalitions).astype(int) @ (1 << np.arange(num_units))
        return table[numbers]

    for cost in [c for c in COSTS if c >= 1]:
        budget = round(cost * (num_units + 1))
        for make in (
            approximator.PermutationSamplingSV,
            approximator.KernelSHAP,
            approximator.UnbiasedKernelSHAP,
            approximator.SVARM,
            approximator.StratifiedSamplingSV,
            approximator.OwenSamplingSV,
        ):
            estimator = make(num_units, random_state=seed)
            values = estimator.approximate(budget, game).get_n_order_values(1)
            yield f"shapiq {make.__name__}", cost, values


def measure(args):
    """Yields a row for each game, estimator, cost and seed."""
    for name, model, data, _, chosen, exact in load_problems(args):
        for group in trace_channels(model).select_groups(chosen):
            kind = "exact" if exact else "large"
            if exact:
                table = coalition_table(model, data, group)
                truth = shapley_weights(group.num_units).T @ table
            else:
                truth = rank(model, data, group, "permutation", 40, 999).values
            for seed in range(args.seeds):
                estimates = our_estimates(model, data, group, seed)
                if exact:
                    theirs = shapiq_estimates(table, group.num_units, seed)
                    estimates = itertools.chain(estimates, theirs)
                for estimator, cost, values in estimates:
                    where = kind, name, group.name, estimator, cost, seed
                    yield *where, *score(values, truth)


def summarize(rows):
    """Returns dict: `(kind, estimator, cost)` -> mean relMSE, tau, overlap."""
    cells = {}
    for kind, _, _, estimator, cost, _, *scores in rows:
        cells.setdefault((kind, estimator, cost), []).append(scores)
    return {key: np.nanmean(values, axis=0) for key, values in cells.items()}


def print_table(summary):
    """Prints relMSE / tau / overlap for each estimator and cost."""
    for kind in ("exact", "large"):
        names = dict.fromkeys(e for k, e, _ in summary if k == kind)
        print(f"\n{kind} games: relMSE / tau / overlap, by cost in walks")
        print(" " * 30 + "".join(f"{cost:>20}" for cost in COSTS))
        for name in names:
            cells = [summary.get((kind, name, cost)) for cost in COSTS]
            shown = [
                "" if c is None else "{:.2g} / {:.2f} / {:.2f}".format(*c)
                for c in cells
            ]
            print(f"{name:30}" + "".join(f"{text:>20}" for text in shown))


def print_coverage(rows):
    """Prints the share of units within their 95 % intervals, by game."""
    games = list(dict.fromkeys(row[0] for row in rows))
    print("\nunits within the 95 % interval, by game: " + ", ".join(games))
    for kind in dict.fromkeys(row[1:3] for row in rows):
        shares = [
            np.mean([r[4] for r in rows if (r[0], *r[1:3]) == (game, *kind)])
            for game in games
        ]
        shown = " ".join(f"{share:.3f}" for share in shares)
        print(f"{kind[0]:20} {kind[1]} draw(s): {np.mean(shares):.3f}   ({shown})")


def plot(summary, path):
    """Draws relMSE against cost."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axes, kind in zip(panels, ("exact", "large"), strict=True):
        for name in dict.fromkeys(e for k, e, _ in summary if k == kind):
            costs = [c for c in COSTS if (kind, name, c) in summary]
            errors = [summary[kind, name, c][0] for c in costs]
            style = "--" if name.startswith("shapiq") else "-"
            axes.plot(costs, errors, style, marker="o", markersize=3, label=name)
        axes.set(xscale="log", yscale="log", xlabel="cost (walks an example)")
        axes.set_title(f"{kind} games")
        axes.set_ylabel("relative MSE")
        axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--coverage-seeds", type=int, default=20)
    args = networks.parse_arguments(parser)
    rows = []
    with open(args.output / "estimators.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            "kind game group estimator cost seed relmse tau overlap".split()
        )
        for row in measure(args):
            rows.append(row)
            writer.writerow(row)
            file.flush()
    summary = summarize(rows)
    print_table(summary)
    plot(summary, args.output / "estimators.png")
    rows = []
    with open(args.output / "coverage.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow("game estimator draws seed covered".split())
        for row in measure_coverage(args):
            rows.append(row)
            writer.writerow(row)
            file.flush()
    print_coverage(rows)


if __name__ == "__main__":
    main()
