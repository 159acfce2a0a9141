"""Every model of keras.applications, half of its units removed: masked == pruned.

    python benchmarks/applications.py [--models NAME ...] [--output benchmarks/results]

Weights are random, those of normalizations too, so that no channel is like another;
their statistics are those of a batch of noise. Of each group half of the units leave,
drawn at random. What counts is the largest difference between the outputs of the masked
and of the pruned network, relative to the largest output: it has to be below 1e-4.
Inputs are as small as a model allows.

Writes applications.csv, prints the table of docs/applications.md. Models that are in
the CSV already are not computed again.
"""

import argparse
import csv
import gc
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_shapley_prune as ksp

FIELDS = """model size units removable params params_left flops_left difference trace
    remove locked""".split()
BATCH = 8


def list_models():
    """Returns a dict: name -> builder, of all models of keras.applications."""
    places = [keras.applications, *vars(keras.applications).values()]
    return {
        name: value
        for place in places
        for name, value in sorted(getattr(place, "__dict__", {}).items())
        if name[:1].isupper() and callable(value)
    }


def build(builder):
    """Returns a model with random weights for the smallest images it takes."""
    for size in (32, 48, 64, 71, 75, 96, 224, 331):
        try:
            model = builder(
                weights=None,
                input_shape=(size, size, 3),
                classes=10,
                classifier_activation=None,
            )
            return model, size
        except ValueError:
            continue
    raise ValueError(f"Expected a model that can be built. Received: {builder}")


def randomize(model, generator):
    """Gives all weights that are constant at first random values near those."""
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        if value.ndim == 1 and np.ptp(value) == 0:
            noise = generator.uniform(0.5, 1.5, value.shape)
            if value.size and value[0] == 0:
                noise -= 1
            weight.assign(noise.astype(value.dtype))
        elif value.ndim == 1 and value.size and np.abs(value).max() < 1e-4:
            # LayerScale starts so small that its branch would count for nothing.
            weight.assign(generator.uniform(0.1, 0.3, value.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # what it computes with follows its weights


def estimate_statistics(model, images):
    """Sets the statistics of normalizations: else images would hardly count.

    No variance is left far below the others of its layer: where a channel is constant,
    a normalization would blow up rounding errors.
    """
    normalizations = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built
    ]
    for layer in normalizations:
        layer.momentum = 0.0
    model(images, training=True)
    for layer in normalizations:
        variance = keras.ops.convert_to_numpy(layer.moving_variance)
        layer.moving_variance.assign(np.maximum(variance, 0.1 * variance.mean() + 1e-3))


def draw_images(model, size, generator):
    """Returns images of noise, of the range that a model takes."""
    rescales = any(isinstance(x, keras.layers.Rescaling) for x in model.layers)
    low, high = (0, 255) if rescales else (-1, 1)
    return generator.uniform(low, high, (BATCH, size, size, 3)).astype("float32")


def draw_half(channel_map, generator):
    """Returns which units stay when half of every group leaves at random."""
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[generator.permutation(group.units)[: group.num_units // 2]] = False
    return keep


def largest_difference(masked, pruned, x):
    """Returns how far two models are apart, relative to the largest output."""
    differences = []
    for pair in zip(*(keras.tree.flatten(m(x)) for m in (masked, pruned)), strict=True):
        expected, received = map(keras.ops.convert_to_numpy, pair)
        if not np.ptp(expected, axis=0).max() > 0:
            raise ValueError(
                "Expected outputs that depend on the input. "
                f"Received: those of {masked.name!r} do not"
            )
        differences.append(np.abs(expected - received).max() / np.abs(expected).max())
    return max(differences)


def measure(name, builder):
    """Returns one row of the table, as a dict."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model, size = build(builder)
    randomize(model, generator)
    x = draw_images(model, size, generator)
    estimate_statistics(model, x)
    start = time.perf_counter()
    channel_map = ksp.trace_channels(model)
    traced = time.perf_counter()
    keep = draw_half(channel_map, generator)
    began = time.perf_counter()
    pruned = ksp.remove_channels(model, keep, channel_map)
    removed = time.perf_counter()
    masked = ksp.mask_channels(model, keep, channel_map)
    reasons = channel_map.lock_reasons()
    return {
        "model": name,
        "size": size,
        "units": channel_map.num_units,
        "removable": sum(group.num_units for group in channel_map.groups),
        "params": model.count_params(),
        "params_left": pruned.count_params() / model.count_params(),
        "flops_left": ksp.count_flops(pruned) / ksp.count_flops(model),
        "difference": largest_difference(masked, pruned, x),
        "trace": traced - start,
        "remove": removed - began,
        "locked": "; ".join(f"{layer}: {why}" for layer, why in reasons.items()),
    }


def print_table(rows):
    """Prints a Markdown table."""
    print(
        "| model | units | removable | parameters | parameters left | FLOPs left | "
        "largest difference | locked |"
    )
    print("|" + "---|" * 8)
    for row in rows:
        share = int(row["removable"]) / int(row["units"])
        print(
            f"| {row['model']} | {int(row['units']):,} | {share:.1%} | "
            f"{int(row['params']) / 1e6:.1f} M | {float(row['params_left']):.0%} | "
            f"{float(row['flops_left']):.0%} | {float(row['difference']):.0e} | "
            f"{row['locked']} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    models = list_models()
    parser.add_argument("--models", nargs="+", choices=list(models))
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    args = parser.parse_args()
    path = args.output / "applications.csv"
    rows = []
    if path.exists():
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    done = {row["model"] for row in rows}
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not rows:
            writer.writeheader()
        for name in args.models or models:
            if name in done:
                continue
            rows.append(measure(name, models[name]))
            writer.writerow(rows[-1])
            file.flush()
            keras.utils.clear_session()
            gc.collect()
    print_table(sorted(rows, key=lambda row: row["model"]))


if __name__ == "__main__":
    main()
