"""How close each estimator of Shapley values comes, and at what cost.

    python benchmarks/estimators.py [--seeds 3] [--ours] [--output benchmarks/results]

Exact games (groups of 12 to 16 filters, all coalitions evaluated) and large games (128
filters, the truth by 40 permutations an example with another seed). Cost is counted in
walks: 1 is n + 1 evaluations of the network's suffix for each of the 200 calibration
examples, n the number of filters; a backward pass counts as two evaluations. A budget
below one draw an example is spent on fewer examples, as many of each class as possible.
Writes estimators.csv, .png and coverage.csv, prints the tables. `--ours` measures the
package's estimators anew, and keeps the rows of shapiq's that estimators.csv has.

relMSE is |estimate - truth|^2 / |truth - mean|^2, tau is Kendall's, overlap the share
of the true lower half in the estimated one: all averaged over games and seeds. The
estimators of shapiq (shapiq_estimators.py) play the game whose value is the mean over
the examples, which is the only one they know (shapiq_game.py).

Coverage is the share of the units of the exact games whose 95 % interval (estimate and
1.96 standard errors) holds the value in a population of 1,200 other examples (20
permutations each), from which 200 are drawn, with replacement, for each seed.
"""

import argparse
import csv
import functools
import itertools
import os
import pathlib
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import estimator_reports as reports
import keras
import networks
import numpy as np
import scipy.stats
from keras import layers
from shapiq_estimators import RememberedGame, print_versions, shapiq_estimates
from shapiq_game import GroupGame

import keras_shapley_prune
from keras_shapley_prune import estimators
from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights
from keras_shapley_prune.trace.tracer import trace_channels

NUM_EXAMPLES = 200
COSTS = (0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
ESTIMATORS = {
    "permutation": estimators.Permutation,
    "shared_permutation": estimators.SharedPermutation,
    "gradient": estimators.Gradient,
    "gradient, order only": functools.partial(estimators.Gradient, efficient=False),
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


def balance(labels, count, seed):
    """Returns which examples to take, in random order: as many of each class."""
    generator = np.random.default_rng([seed, 5])
    order = generator.permutation(len(labels))
    turns = np.zeros(len(labels), int)  # how many of its class come before an example
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turns[own] = np.arange(len(own))
    order = np.lexsort((generator.random(len(labels)), turns))
    return order[:count]


def our_estimates(model, data, group, seed):
    """Yields `(estimator, cost in walks, values)`."""
    walk = group.num_units + 1
    for cost in COSTS:
        for estimator, draw in (
            ("permutation", 1),
            ("shared_permutation", 1),
            ("gradient", 5 / walk),
            ("gradient, order only", 3 / walk),
        ):
            if estimator == "shared_permutation" and cost < 1:
                continue
            num_draws = max(round(cost / draw), 1)
            count = max(round(min(cost / draw, 1) * len(data[0])), 2)
            chosen = balance(data[1], count, seed)
            few = tuple(array[chosen] for array in data)
            scores = rank(model, few, group, estimator, num_draws, seed)
            yield estimator, cost, scores.values
        num_draws = round(
            (cost - 0.2) * walk / 5 - 0.5
        )  # a fifth of the examples walks
        if num_draws >= 1:
            scores = rank(model, data, group, "corrected_gradient", num_draws, seed)
            yield "corrected_gradient", cost, scores.values


def find_truth(args, name, model, data, group, exact):
    """Returns the game of shapiq that a group is, and the values to come close to."""
    if exact:
        # Small networks: many coalitions at once.
        game = GroupGame(model, data, group.name, batch_size=3200)
        table = game(all_coalitions(group.num_units))
        powers = 1 << np.arange(group.num_units)
        looked_up = RememberedGame(lambda coalitions: table[coalitions @ powers])
        return looked_up, shapley_weights(group.num_units).T @ table
    game = GroupGame(model, data, group.name, batch_size=NUM_EXAMPLES)
    # Forty walks take longer than all that they are compared with.
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    path = f"truth_{name}_{group.name}_{zlib.crc32(weights):x}.npy".replace(" ", "_")
    path = pathlib.Path(args.cache) / path
    if not path.exists():
        truth = rank(model, data, group, "permutation", 40, 999).values
        np.save(path, truth)
    return RememberedGame(game), np.load(path)


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


def measure(args):
    """Yields a row for each game, estimator, cost and seed."""
    for name, model, data, _, chosen, exact in load_problems(args):
        for group in trace_channels(model).select_groups(chosen):
            kind = "exact" if exact else "large"
            game, truth = find_truth(args, name, model, data, group, exact)
            for seed in range(args.seeds):
                estimates = our_estimates(model, data, group, seed)
                theirs = ()
                if not args.ours:
                    theirs = shapiq_estimates(game, group.num_units, seed)
                for estimator, cost, values in itertools.chain(estimates, theirs):
                    where = kind, name, group.name, estimator, cost, seed
                    yield *where, *score(values, truth)


def write_rows(path, header, rows):
    """Writes rows as they come, and returns them as a list."""
    written = []
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split())
        for row in rows:
            written.append(row)
            writer.writerow(row)
            file.flush()
    return written


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--coverage-seeds", type=int, default=20)
    parser.add_argument("--ours", action="store_true")
    args = networks.parse_arguments(parser)
    keras.utils.set_random_seed(0)
    print_versions()
    header = "kind game group estimator cost seed relmse tau overlap"
    path = args.output / "estimators.csv"
    kept = []
    if args.ours:
        rows = reports.read_rows(path)
        kept = [row for row in rows if row[3].startswith(reports.PREFIX)]
    rows = write_rows(path, header, itertools.chain(kept, measure(args)))
    summary = reports.summarize(rows)
    reports.print_table(summary)
    reports.print_halves(rows)
    reports.print_paper_order(rows)
    reports.plot(summary, args.output / "estimators.png")
    header = "game estimator draws seed covered"
    rows = write_rows(args.output / "coverage.csv", header, measure_coverage(args))
    reports.print_coverage(rows)


if __name__ == "__main__":
    main()
