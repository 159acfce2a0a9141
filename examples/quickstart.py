"""
Title: Remove half of the filters of a convolutional network
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/22
Last modified: 2026/11/29
Description: Train a small CNN, remove half of its filters without training, save it.
Accelerator: None

## Introduction

Structured pruning removes whole filters from a trained network. The result is a plain,
smaller `keras.Model`: it needs no special run time to be faster.

Which filters can be removed? The filters of a layer play a game: a coalition is worth
as much as the next layers can still compute from it. The *Shapley value* of a filter is
what it adds to that, on average over all orders in which filters could be removed. The
kept filters then make up for the removed ones, in closed form: nothing is trained, and
no labels are needed.

Run it on the digits that scikit-learn ships, or on any image classification set of
TensorFlow Datasets:

    python examples/quickstart.py
    python examples/quickstart.py --dataset fashion_mnist
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from keras import layers

import keras_shapley_prune

matplotlib.use("Agg")
import matplotlib.pyplot as plt

"""
## The data

Both functions return NumPy arrays `(images, labels)` for training and testing, with
pixels from 0 to 1, and the number of classes.
"""


def load_digits(num_test=497):
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = images[order].reshape(-1, 8, 8, 1).astype("float32") / 16
    labels = labels[order]
    train = images[num_test:], labels[num_test:]
    return train, (images[:num_test], labels[:num_test]), 10


def load_tfds(name, data_dir, num_train, num_test=10_000, largest=32):
    import tensorflow_datasets as tfds

    # The first call downloads and prepares the set, if that is still to be done.
    _, info = tfds.load(name, data_dir=data_dir, with_info=True)
    held_out = [s for s in ("test", "validation") if s in info.splits]
    split = ["train", held_out[0]] if held_out else ["train[20%:]", "train[:20%]"]
    train, test = tfds.load(name, split=split, as_supervised=True, data_dir=data_dir)
    height, width, _ = train.element_spec[0].shape

    def prepare(image, label):
        image = tf.cast(image, tf.float32) / 255
        if None in (height, width) or max(height, width) > largest:
            image = tf.image.resize(image, (largest, largest))
        return image, label

    def to_arrays(dataset, count):
        batches = dataset.take(count).map(prepare).batch(count)
        images, labels = next(batches.as_numpy_iterator())
        return images, labels

    num_classes = info.features[info.supervised_keys[1]].num_classes
    return to_arrays(train, num_train), to_arrays(test, num_test), num_classes


"""
## The network

Blocks of convolution, batch normalization and ReLU; "pool" halves the image. The
learning rate falls from epoch to epoch.
"""


def build_model(input_shape, num_classes):
    small = min(input_shape[:2]) < 16
    blocks = [32, 64, "pool", 128] if small else [32, 32, "pool", 64, 64, "pool", 128]
    model = keras.Sequential([keras.Input(input_shape)])
    for position, filters in enumerate(blocks, start=1):
        if filters == "pool":
            model.add(layers.MaxPooling2D())
            continue
        name = f"conv{position - blocks[:position].count('pool')}"
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(num_classes, name="logits"))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def fit(network, train, epochs):
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch: 0.001 * (1 - epoch / epochs)
    )
    network.fit(*train, batch_size=64, epochs=epochs, callbacks=[schedule], verbose=2)


"""
## What a network costs

Accuracy, parameters and FLOPs are counted; the latency is measured, the two networks
taking turns, so that a busy machine slows both.
"""


def measure(network, test):
    return {
        "accuracy": network.evaluate(*test, verbose=0, return_dict=True)["accuracy"],
        "parameters": network.count_params(),
        "FLOPs": keras_shapley_prune.count_flops(network),
    }


def print_table(rows, latencies):
    columns = ["accuracy", "parameters", "MFLOPs", "ms/batch of 1", "ms/batch of 32"]
    width = max(map(len, rows))
    print("".join([f"{'':{width}}", *(f"{column:>16}" for column in columns)]))
    for (name, row), (one, many) in zip(rows.items(), latencies, strict=True):
        print(
            f"{name:{width}}{row['accuracy']:16.1%}{row['parameters']:16,}"
            f"{row['FLOPs'] / 1e6:16.2f}{1e3 * one:16.2f}{1e3 * many:16.2f}"
        )


"""
## The picture

There is one panel for each layer. It shows the filters in the order of removal, with
the standard errors of the estimates. The filters to the left of the cut were removed.
Pale ones to the right were no candidates: their value is what the removal of each alone
costs. The last panel shows what pruning changed.
"""

STAGES = ("#8c8c8c", "#dd8452", "#55a868")


def plot_changes(axes, rows):
    first, cut = rows["original"], rows["pruned"]
    for stage, (name, row) in enumerate(rows.items()):
        bar = axes.bar(stage, row["accuracy"], 0.9, color=STAGES[stage], label=name)
        axes.bar_label(bar, [f"{row['accuracy']:.1%}"], padding=2, fontsize=7)
    for start, key in ((4, "parameters"), (7, "FLOPs")):
        for stage, row in enumerate((first, cut)):
            share = row[key] / first[key]
            bar = axes.bar(start + stage, share, 0.9, color=STAGES[stage])
            axes.bar_label(bar, [f"{share:.0%}"], padding=2, fontsize=7)
    axes.set_xticks([1, 4.5, 7.5], ["accuracy", "parameters", "FLOPs"])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1.3)
    axes.legend(fontsize=8, frameon=False, loc="upper center", ncols=3, columnspacing=1)
    axes.set_title("What pruning changed", fontsize=10)


def plot(path, ranking, plan, rows):
    num_columns = 3
    num_rows = -(-(len(ranking) + 1) // num_columns)
    figure = plt.figure(figsize=(10, 2.7 * num_rows + 0.3), layout="constrained")
    grid = figure.add_gridspec(num_rows, num_columns)
    for index, (name, (before, after)) in enumerate(plan.units.items()):
        axes = figure.add_subplot(grid[divmod(index, num_columns)])
        keras_shapley_prune.plot_ranking(ranking, name, plan, axes)
        axes.set_title(f"{name}: {before} → {after} filters", fontsize=10)
        axes.set(xticks=[], xlabel="", ylabel="" if index else "Shapley value")
        if index:
            axes.get_legend().remove()
    rest = len(ranking) % num_columns
    plot_changes(figure.add_subplot(grid[num_rows - 1, rest:]), rows)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


"""
## Train, prune, fit, save
"""


def parse(argv=None):
    parser = argparse.ArgumentParser(
        description="Trains a small CNN and prunes it by Shapley values."
    )
    parser.add_argument(
        "--dataset",
        default="digits",
        help="'digits' or the name of a TensorFlow Datasets image classification set",
    )
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its data")
    parser.add_argument("--ratio", type=float, default=0.5, help="filters to remove")
    parser.add_argument(
        "--epochs", type=int, help="of training; default: 24 on digits, else 4"
    )
    parser.add_argument("--fit-epochs", type=int, default=2, help="after pruning")
    parser.add_argument("--train-examples", type=int, default=20_000)
    parser.add_argument("--calibration-examples", type=int, default=200)
    parser.add_argument("--output", type=pathlib.Path, default="quickstart_output")
    args = parser.parse_args(argv)
    if not 0 <= args.ratio < 1:
        parser.error(f"--ratio should be in [0, 1). Received: {args.ratio}")
    args.epochs = args.epochs or (24 if args.dataset == "digits" else 4)
    args.output.mkdir(parents=True, exist_ok=True)
    return args


def main(argv=None):
    args = parse(argv)
    keras.utils.set_random_seed(1)
    if args.dataset == "digits":
        train, test, num_classes = load_digits()
    else:
        train, test, num_classes = load_tfds(
            args.dataset, args.data_dir, args.train_examples
        )
    print(f"{args.dataset}: {len(train[0])} images to train on, {len(test[0])} to test")

    model = build_model(train[0].shape[1:], num_classes)
    fit(model, train, args.epochs)
    rows = {"original": measure(model, test)}

    # `rank` is the first step of `prune`, which does it by itself. Done beforehand, the
    # ranking can be looked at, and serves any number of calls of `prune`.
    calibration = train[0][: args.calibration_examples]
    ranker = keras_shapley_prune.ShapleyRanker()
    ranking = ranker.rank(model, calibration, ratio=args.ratio, verbose=0)
    print(ranking)

    # Pruning is one call. It takes a few hundred images, without labels, and returns a
    # new model, compiled like the first one.
    pruned = keras_shapley_prune.prune(
        model, calibration, ratio=args.ratio, ranker=ranking, verbose=2
    )
    rows["pruned"] = measure(pruned, test)

    # `compare` shows what has changed, and writes a page about it.
    comparison = keras_shapley_prune.compare(model, pruned, test, ranking)
    comparison.to_html(args.output / "report.html")

    # Where there is data and time, a short `fit` wins back the rest.
    fit(pruned, train, args.fit_epochs)
    rows["pruned + fit"] = measure(pruned, test)
    latencies = [
        keras_shapley_prune.measure_latency([model, pruned], test[0][:batch_size])
        for batch_size in (1, 32)
    ]
    before, after = zip(*latencies, strict=True)
    print_table(rows, [before, after, after])  # the fit changes no shape

    # The result is a plain Keras model: it is saved, loaded and exported like any.
    pruned.save(args.output / "pruned.keras")
    pruned.export(args.output / "saved_model", verbose=False)
    served = tf.saved_model.load(args.output / "saved_model")
    few = test[0][:32]
    difference = np.abs(served.serve(few) - pruned.predict(few, verbose=0)).max()
    print(f"SavedModel against Keras, largest difference: {difference:.1g}")

    plan = keras_shapley_prune.plan_pruning(model, ranking, args.ratio)
    plot(args.output / "quickstart.png", ranking, plan, rows)
    print(
        "Wrote pruned.keras, saved_model, report.html and quickstart.png to "
        f"{args.output}"
    )


if __name__ == "__main__":
    main()
