"""What pruning costs, and what it saves: seconds of `prune`, latency of the result.

    python benchmarks/cost.py [--pretrained DIR] [--output benchmarks/results]

1. Latency of one inference at half of the FLOPs against the original, batches of 1 and
   32, taking turns, medians; with `round_to=8` and without. The units that leave are
   drawn at random: it is the shapes that count.
2. Seconds of ranking and of repair on ResNet-20, half of the units inside of the
   blocks, against the number of images.

Writes cost.csv and prints the tables.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np

import keras_shapley_prune as ksp

BATCHES = (1, 32)
NUM_IMAGES = (50, 100, 200, 400)


def mobilenet_v2():
    """MobileNetV2 for 96x96 images, random weights."""
    return keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)


def vgg16():
    """VGG16 for 96x96 images, random weights."""
    return keras.applications.VGG16(
        weights=None, input_shape=(96, 96, 3), classes=10, pooling="avg"
    )


def measure_latency(name, model, num_runs):
    """Yields rows: how much faster the network is at half of the FLOPs."""
    ranking = ksp.BaselineRanker("random").rank(model)
    shape = model.input_shape[1:]
    for round_to in (1, 8):
        plan = ksp.plan_pruning(model, ranking, 0.5, of="flops", round_to=round_to)
        pruned = ksp.apply_plan(model, plan, repair=None, verify=False, verbose=0)
        left = ksp.count_flops(pruned) / ksp.count_flops(model)
        for batch in BATCHES:
            x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
            before, after = ksp.measure_latency([model, pruned], x, num_runs)
            what = f"latency, batch {batch}, round_to={round_to}, {left:.0%} FLOPs"
            print(
                f"{name:14}{what}: {1e3 * before:.2f} -> {1e3 * after:.2f} ms, "
                f"{before / after:.2f} times faster",
                flush=True,
            )
            yield name, what, before, after, before / after


def measure_seconds(problem):
    """Yields rows: seconds of ranking and of repair."""
    channel_map = ksp.trace_channels(problem.model)
    for num_images in NUM_IMAGES:
        x, _ = problem.calibration(num_images, 0)
        start = time.perf_counter()
        ranker = ksp.ShapleyRanker()
        ranking = ranker.rank(
            problem.model, x, layers=problem.layers, channel_map=channel_map, verbose=0
        )
        ranked = time.perf_counter()
        plan = ksp.plan_pruning(problem.model, ranking, 0.5, channel_map)
        ksp.apply_plan(problem.model, plan, x, verbose=0)
        repaired = time.perf_counter()
        seconds = ranked - start, repaired - ranked
        print(
            f"{problem.name}: {num_images} images: ranking {seconds[0]:.1f} s, "
            f"repair and verification {seconds[1]:.1f} s",
            flush=True,
        )
        yield problem.name, f"seconds, {num_images} images", *seconds, sum(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args = networks.parse_arguments(parser)
    resnet20 = networks.NETWORKS["resnet20"](args)
    measured = [
        ("resnet20", resnet20.model, 40),
        ("vgg16_96", vgg16(), 10),
        ("mobilenet_v2_96", mobilenet_v2(), 30),
    ]
    rows = [row for entry in measured for row in measure_latency(*entry)]
    rows += measure_seconds(resnet20)
    header = "network what first second total_or_ratio"
    networks.write_csv(args.output / "cost.csv", header, rows)


if __name__ == "__main__":
    main()
