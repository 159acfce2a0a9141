"""Latency of LiteRT files: original and pruned, channel counts rounded to 8 or not.

    python benchmarks/devices.py [--runs 300] [--output benchmarks/results]

Each network loses half of its FLOPs, once with channel counts as they come and once
with multiples of 8, at equal FLOPs. The units that leave are drawn at random, as the
weights are: it is the shapes that count. Files run on XNNPACK, one thread, one image at
a time, and all files of a network take turns. A time is the tenth percentile, which
other programs on the machine disturb least; ratios are medians of five blocks of turns.

Writes devices.csv and prints the table. Needs `pip install ".[litert]"`.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_shapley_prune as ksp

IMAGE = (96, 96, 3)


def mobilenet_v2():
    """MobileNetV2 with random weights."""
    return keras.applications.MobileNetV2(IMAGE, weights=None, classes=10)


def vgg_style():
    """Four blocks of two 3x3 convolutions with BatchNormalization, random weights."""
    model = keras.Sequential([keras.Input(IMAGE, name="image")])
    for filters in (32, 64, 128, 256):
        for _ in range(2):
            networks.add_convolution(model, filters)
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


NETWORKS = {"mobilenet_v2": mobilenet_v2, "vgg_style": vgg_style}
VARIANTS = ("original", "pruned", "pruned, round_to=8")


def make_variants(model):
    """Yields the models of `VARIANTS`."""
    yield model
    ranking = ksp.BaselineRanker("random").rank(model)
    for round_to in (1, 8):
        plan = ksp.plan_pruning(model, ranking, 0.5, of="flops", round_to=round_to)
        yield ksp.apply_plan(model, plan, repair=None, verify=False, verbose=0)


def open_runner(model, path, int8):
    """Writes a file and returns a function that runs it once."""
    images = np.random.default_rng(0).uniform(size=(8, *IMAGE)).astype("float32")
    ksp.export_litert(model, path, int8, images if int8 else None)
    runner = Interpreter(str(path), num_threads=1)
    runner.allocate_tensors()
    (takes,) = runner.get_input_details()
    image = images[:1] if not int8 else (images[:1] * 255 - 128).astype("int8")
    runner.set_tensor(takes["index"], image)
    return runner.invoke


def measure(runners, num_runs):
    """Returns the seconds of each turn, shape `(num_runs, len(runners))`."""
    for run in runners:
        run()
        run()
    seconds = np.empty((num_runs, len(runners)))
    for turn in range(num_runs):
        for position, run in enumerate(runners):
            start = time.perf_counter()
            run()
            seconds[turn, position] = time.perf_counter() - start
    return seconds


def benchmark(name, num_runs):
    """Yields the rows of one network."""
    variants = list(make_variants(NETWORKS[name]()))
    flops = np.array([ksp.count_flops(variant) for variant in variants])
    for numbers in ("float32", "int8"):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / f"{i}.tflite" for i in range(3)]
            runners = [
                open_runner(variant, path, numbers == "int8")
                for variant, path in zip(variants, paths, strict=True)
            ]
            sizes = [path.stat().st_size for path in paths]
            seconds = measure(runners, num_runs)
        blocks = np.array_split(seconds, 5)
        times = np.array([np.quantile(block, 0.1, axis=0) for block in blocks])
        speedups = np.median(times[:, :1] / times, axis=0)
        rounding = times[:, 1] / times[:, 2]
        for i, variant in enumerate(VARIANTS):
            milliseconds = 1e3 * np.median(times[:, i])
            print(
                f"{name:13}{numbers:8}{variant:19}{flops[i] / flops[0]:5.0%} FLOPs "
                f"{sizes[i] / 1e6:6.2f} MB {milliseconds:7.2f} ms "
                f"{speedups[i]:5.2f} times as fast"
            )
            yield name, numbers, variant, flops[i], sizes[i], milliseconds, speedups[i]
        print(
            f"{name:13}{numbers:8}round_to=8: {np.median(rounding):.2f} times as fast "
            f"as without (blocks: {rounding.min():.2f} to {rounding.max():.2f})",
            flush=True,
        )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="turns of each file")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "results"
    )
    args = parser.parse_args(argv)
    keras.utils.set_random_seed(0)
    rows = [row for name in args.networks for row in benchmark(name, args.runs)]
    args.output.mkdir(parents=True, exist_ok=True)
    header = "network numbers variant flops bytes ms times_as_fast"
    networks.write_csv(args.output / "devices.csv", header, rows)


if __name__ == "__main__":
    main()
