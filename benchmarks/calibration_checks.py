"""What the two checks of calibration data measure, on pretrained networks.

    python benchmarks/calibration_checks.py TABLE --pretrained DIR [--networks ...]

No label is used but to measure accuracy. TABLE is

    distances  how far data is from what the first normalizations remember: the right
               images (the largest distance of eight draws of 16, 50 and 200), images of
               other scales, noise, few classes; the original's accuracy on such data
    agreement  after `prune` from 50 and 200 images, with 30 and 50 % of the units of
               each layer removed: how often the pruned network agrees with the original
               on the images it was fitted to, on flipped and shifted copies of these,
               on the copies mixed in pairs (what `prune` prints), and on test images

Writes calibration_TABLE.csv, and prints it.
"""

import argparse
import itertools
import pathlib

import keras
import networks
import numpy as np
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune.repair.agreement import vary_images
from keras_shapley_prune.repair.augmented_copies import MAX_COPIES, augment_batches
from keras_shapley_prune.repair.calibration_check import measure_distances
from keras_shapley_prune.repair.sample import SAMPLE
from keras_shapley_prune.trace.recording import record_graph

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SCALES = {
    "0 to 255": lambda x: x,
    "0 to 1": lambda x: x / 255,
    "-1 to 1": lambda x: x / 127.5 - 1,
    "standardised": lambda x: (x / 255 - MEAN) / STD,
    "mean not subtracted": lambda x: x / 255 / STD,
    "BGR minus mean": lambda x: x[..., ::-1] - 255 * MEAN[::-1],
}
# Files, the scale that is right, and the data. The threshold was chosen on the first
# three networks and checked on the others.
NETWORKS = {
    "resnet20": ("resnet20_cifar10.keras", "standardised", "cifar10_8k"),
    "resnet8": ("resnet8_cifar10_mlperf.keras", "0 to 255", "cifar10_8k"),
    "mobilenet": ("mobilenet025_imagenet.keras", "-1 to 1", "imagenet_800_jpeg"),
    "resnet44": ("resnet44_cifar10.keras", "standardised", "cifar10_8k"),
    "resnet56": ("resnet56_cifar10.keras", "standardised", "cifar10_8k"),
    "resnet32": ("resnet32_cifar100.keras", "0 to 1", "cifar100_7k"),
}
NUM_TEST = 500


def read_images(path):
    """Returns arrays `(x, y, x_test, y_test)` of numbers from 0 to 255."""
    with np.load(path) as data:
        if "bytes" not in data.files:
            names = "x_train", "y_train", "x_test", "y_test"
            x, y, x_test, y_test = (data[name] for name in names)
            return x, y.ravel(), x_test[:NUM_TEST], y_test.ravel()[:NUM_TEST]
        raw, offsets, y = data["bytes"], data["offsets"], data["labels"]
    images = [
        tf.io.decode_jpeg(raw[start:end].tobytes(), channels=3).numpy()
        for start, end in itertools.pairwise(offsets)
    ]
    x = np.stack(images)
    return x[:300], y[:300], x[300:], y[300:]


def load(folder, name):
    """Returns a network, its scale, and `(x, y, x_test, y_test)`."""
    file, scale, data = NETWORKS[name]
    model = keras.models.load_model(folder / file, compile=False)
    return model, scale, read_images(folder / f"{data}.npz")


def predict(model, x):
    """Returns the class that a network names for each image."""
    parts = np.array_split(x, max(len(x) // 100, 1))
    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    return np.concatenate([run(part).numpy().argmax(axis=-1) for part in parts])


def draws(x, count):
    """Yields eight draws of images."""
    for seed in range(8):
        yield x[np.random.default_rng([seed, count]).permutation(len(x))[:count]]


def strange_data(x, y, right):
    """Yields `(what, images)`, the images as the network gets them."""
    generator = np.random.default_rng(0)
    some = x[generator.permutation(len(x))[:200]].astype("float64")
    ours = SCALES[right](some)
    for scale, apply in SCALES.items():
        if scale != right:
            yield scale, apply(some)
    yield "255 times too large", 255 * ours
    yield "255 times too small", ours / 255
    noise = generator.normal(ours.mean((0, 1, 2)), ours.std((0, 1, 2)), ours.shape)
    yield "noise of the same mean and variance", noise
    yield "uniform noise", generator.uniform(ours.min(), ours.max(), ours.shape)
    yield "grey", SCALES[right](np.repeat(some.mean(-1, keepdims=True), 3, -1))
    yield "BGR for RGB", ours[..., ::-1]
    few = np.unique(y)
    few = generator.permutation(few)[: 1 if len(few) == 10 else 10]
    yield "one class of 10, or 10 of more", SCALES[right](x[np.isin(y, few)] * 1.0)


def measure_distance(graph, images):
    """Returns the largest distance of the first examples, as `prune` measures it."""
    batch = [[tf.constant(images[:SAMPLE].astype("float32"))]]
    return max(found.total for found in measure_distances(graph, batch))


def distances(folder, name):
    """Yields `(network, data, distance, accuracy of the original on such data)`."""
    model, right, (x, y, x_test, y_test) = load(folder, name)
    graph = record_graph(model)
    seen = SCALES[right](x_test * 1.0).astype("float32")
    original = f"{100 * np.mean(predict(model, seen) == y_test):.1f}"
    for count in (16, 50, 200):
        found = [
            measure_distance(graph, SCALES[right](images * 1.0))
            for images in draws(x, count)
        ]
        yield name, f"{count} right images", f"{max(found):.2f}", original
    tests = dict(strange_data(x_test, y_test, right))
    for what, images in strange_data(x, y, right):
        accuracy = ""
        if what in SCALES or what in ("grey", "BGR for RGB"):
            seen = tests[what].astype("float32")
            order = np.random.default_rng(0).permutation(len(x_test))[: len(seen)]
            accuracy = f"{100 * np.mean(predict(model, seen) == y_test[order]):.1f}"
        yield name, what, f"{measure_distance(graph, images):.2f}", accuracy


def agreement(folder, name):
    """Yields rows of `agreement`: percents, after the network, images and ratio."""
    model, right, (x, _, x_test, _) = load(folder, name)
    x_test = SCALES[right](x_test * 1.0).astype("float32")
    for count in (50, 200):
        drawn = np.random.default_rng([0, 77]).permutation(len(x))[:count]
        images = SCALES[right](x[drawn] * 1.0).astype("float32")
        (moved,) = augment_batches([[images]], MAX_COPIES)
        ((varied,),) = vary_images([[images]])
        sets = images, moved()[0].numpy(), varied.numpy(), x_test
        for ratio in (0.3, 0.5):
            pruned = ksp.prune(model, images, ratio, verbose=0)
            shares = [np.mean(predict(model, s) == predict(pruned, s)) for s in sets]
            yield name, count, ratio, *(f"{100 * share:.1f}" for share in shares)


TABLES = {
    "distances": (distances, "network data distance accuracy"),
    "agreement": (agreement, "network images ratio fitted moved mixed test"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    args = networks.parse_arguments(parser)
    make, header = TABLES[args.table]
    rows = []
    for name in args.networks:
        for row in make(pathlib.Path(args.pretrained), name):
            print(*row, sep=", ", flush=True)
            rows.append(row)
        keras.backend.clear_session(free_memory=False)
    networks.write_csv(args.output / f"calibration_{args.table}.csv", header, rows)


if __name__ == "__main__":
    main()
