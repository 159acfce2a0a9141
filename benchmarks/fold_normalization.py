"""What folding of BatchNormalizations saves, where the model runs.

    python benchmarks/fold_normalization.py --pretrained DIR [--networks resnet20 ...]
        [--runtimes tensorflow_1 ...] [--seconds 20]

Each network and its folded copy take turns. A time is that of the fastest run, of one
thread by the seconds of the processor. The networks of keras.applications have random
weights, as speed depends on shapes only, and random statistics, so that there is
something to fold. Runtimes are the compiled forward pass of a batch of 1 and of 32, a
SavedModel that TensorFlow has loaded, and LiteRT, whose converter folds by itself.

Writes fold_normalization.csv, where rows that are there already are kept.
"""

import argparse
import tempfile

import keras
import numpy as np
import tensorflow as tf
from latency import load
from networks import parse_arguments, read_csv, write_csv

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.timing import time_in_turn

NETWORKS = (
    *("resnet20", "resnet56", "mobilenet"),
    *("MobileNetV2", "EfficientNetB0", "ResNet50"),
)
RUNTIMES = ("tensorflow_1", "tensorflow_32", "savedmodel_1", "litert_1")
HEADER = "network runtime normalizations left difference original folded share"


def find_normalizations(model):
    """Returns the layers that can be folded, and others of their kind."""
    found = model._flatten_layers()
    return [x for x in found if isinstance(x, keras.layers.BatchNormalization)]


def set_statistics(model):
    """Gives normalizations something to do: means, variances, scales and shifts."""
    generator = np.random.default_rng(0)
    for layer in find_normalizations(model):
        shapes = [w.shape for w in layer.get_weights()]
        layer.set_weights([generator.uniform(0.5, 1.5, shape) for shape in shapes])


def measure_difference(model, folded):
    """Returns how far outputs of random images are apart, by the largest of them."""
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:]))
    expected, received = (keras.ops.convert_to_numpy(m(x)) for m in (model, folded))
    return np.abs(received - expected).max() / np.abs(expected).max()


def open_runner(model, runtime):
    """Returns a function of no arguments that makes one inference."""
    name, _, size = runtime.partition("_")
    if name != "savedmodel":
        return ksp.Runtime(name, batch_size=int(size)).load(model)
    x = np.random.default_rng(0).random((int(size), *model.input_shape[1:]), "float32")
    x = tf.constant(x)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        served = tf.saved_model.load(folder)
    return lambda: served.serve(x).numpy()


def main():
    """Measures, and adds to the file what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES)
    parser.add_argument("--seconds", type=float, default=20, help="of each pair")
    args = parse_arguments(parser)
    path = args.output / "fold_normalization.csv"
    rows = [list(row.values()) for row in read_csv(path)]
    for name in args.networks:
        missing = [r for r in args.runtimes if [name, r] not in [x[:2] for x in rows]]
        if not missing:
            continue
        model = load(name, args.pretrained)
        if not name.islower():
            set_statistics(model)
        folded = ksp.fold_normalization(model)
        counts = [len(find_normalizations(m)) for m in (model, folded)]
        difference = measure_difference(model, folded)
        for runtime in missing:
            runners = [open_runner(m, runtime) for m in (model, folded)]
            clock = ksp.Runtime().clock
            timings = time_in_turn(runners, 300, args.seconds, clock=clock)
            before, after = (1e3 * timing.fastest for timing in timings)
            values = difference, before, after, after / before
            rows.append([name, runtime, *counts, *(f"{v:.3g}" for v in values)])
            print(*rows[-1], flush=True)
            write_csv(path, HEADER, rows)


if __name__ == "__main__":
    main()
