"""How much faster the pruned network is, and seconds against the number of images.

Two parts of cost.py. The units that are removed for the latency are drawn at random: it
is the shapes that count.
"""

import time

import keras
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
                f"{name:16}{what}: {1e3 * before:.2f} -> {1e3 * after:.2f} ms, "
                f"{before / after:.2f} times faster",
                flush=True,
            )
            yield name, what, before, after, before / after


def measure_seconds(problem):
    """Yields rows: CPU seconds of ranking and of repair."""
    channel_map = ksp.trace_channels(problem.model)
    for num_images in NUM_IMAGES:
        x, _ = problem.calibration(num_images, 0)
        start = time.process_time()
        ranker = ksp.ShapleyRanker()
        ranking = ranker.rank(
            problem.model, x, layers=problem.layers, channel_map=channel_map, verbose=0
        )
        ranked = time.process_time()
        plan = ksp.plan_pruning(problem.model, ranking, 0.5, channel_map)
        ksp.apply_plan(problem.model, plan, x, verbose=0)
        repaired = time.process_time()
        seconds = ranked - start, repaired - ranked
        print(
            f"{problem.name}: {num_images} images: ranking {seconds[0]:.1f} CPU s, "
            f"repair and verification {seconds[1]:.1f} CPU s",
            flush=True,
        )
        yield problem.name, f"CPU seconds, {num_images} images", *seconds, sum(seconds)


def measure(resnet20):
    """Yields the rows of both parts, for the CSV file.

    Args:
        resnet20: The `Problem` of that name.
    """
    yield from measure_latency("resnet20", resnet20.model, 40)
    yield from measure_latency("vgg16_96", vgg16(), 10)
    yield from measure_latency("mobilenet_v2_96", mobilenet_v2(), 30)
    yield from measure_seconds(resnet20)
