"""Accuracy at equal measured latency: budgets of FLOPs, of time by width, depth, both.

    python benchmarks/latency_accuracy.py --pretrained DIR [--networks resnet20 ...]
        [--methods ...] [--repairs least_squares mimic] [--targets litert]
        [--ratios 0.5] [--seeds 2]

Each network is made `1 / (1 - ratio)` times as fast on a runtime, with 200 unlabelled
images, and repaired by least squares or by `"mimic"`:

    flops   width by a budget of FLOPs, as large as makes the network as fast as that:
            found by cutting and timing
    width   `prune(of="latency", granularity="filter")`
    depth   the same with `granularity="block"`, which removes whole residual blocks
    both    the same with `granularity="both"`, whichever loses least for its time

With `--targets folded` it is TensorFlow, and what is pruned is folded last
(`fold_normalization`): its time is a share of the original's as it is, so that less has
to be removed. `--methods fold` removes nothing.

All with `scope="global"`. What is returned is timed beside the original once more:
`measured` is its share of the time. Accuracy is that on the first 3,000 test images
(on the 500 that were not calibrated on for `mobilenet`), `agreement` how often it says
what the original says there; seconds are CPU seconds. Rows that are in
latency_accuracy.csv already are not computed again.
"""

import argparse
import dataclasses
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.rank.resolve_ranker import resolve_ranker

FIELDS = (
    "network target ratio seed method repair "
    "measured accuracy agreement blocks flops seconds"
)
RUNTIMES = {
    "litert": ksp.Runtime("litert"),
    "tensorflow": ksp.Runtime("tensorflow"),
    "folded": ksp.Runtime("tensorflow", folded=True),
}
METHODS = {"width": "filter", "depth": "block", "both": "both"}
NUM_IMAGES = 200
_TRIALS = 7  # of the share of FLOPs
_NEAR = 0.01  # of the time: near enough to what is asked for


def load(args, name):
    """Returns the `Problem` of a name."""
    if name == "mobilenet":
        return networks.imagenet(args)
    if name == "resnet32":
        return networks.cifar100(args)
    return networks.cifar10(args, name)


def prune_by_flops(model, images, ratio, repair, timer):
    """Returns the network that a budget of FLOPs makes as fast as is asked for."""
    channel_map = ksp.trace_channels(model)
    ranker = resolve_ranker(None, "global")
    ranking = ranker.rank(model, images, channel_map=channel_map, ratio=0.9, verbose=0)
    low, high, best, missed = 0.0, 0.95, None, np.inf
    for _ in range(_TRIALS):
        share = (low + high) / 2
        plan = ksp.plan_pruning(model, ranking, share, of="flops", scope="global")
        cut = ksp.remove_channels(model, plan.keep, channel_map)
        before, after = timer.time_beside(cut)
        off = after / before - (1 - ratio)
        if abs(off) < missed:
            best, missed = plan, abs(off)
        if missed < _NEAR:
            break
        low, high = (share, high) if off > 0 else (low, share)
    return ksp.apply_plan(model, best, images, repair, verbose=0)


def prune(model, images, ratio, method, repair, runtime, timer):
    """Returns the network that a method makes as fast as is asked for."""
    if method == "fold":
        return model
    if method == "flops":
        return prune_by_flops(model, images, ratio, repair, timer)
    if runtime.folded:  # of what folding leaves, not of the original as it is
        before, after = timer.time_beside(ksp.fold_normalization(model))
        ratio = 1 - (1 - ratio) * before / after
    return ksp.prune(
        model,
        images,
        ratio,
        of="latency",
        scope="global",
        target=runtime,
        granularity=METHODS[method],
        repair=repair,
        verbose=0,
    )


def count_blocks(model):
    """Returns how many blocks a network has."""
    return len(ksp.trace_channels(model, "block").blocks)


def measure(problem, target, ratio, seed, method, repair):
    """Returns a row, a list of what is in `FIELDS` after the repair."""
    model, runtime = problem.model, RUNTIMES[target]
    images, _ = problem.calibration(NUM_IMAGES, seed)
    clocked = dataclasses.replace(runtime, folded=False)
    timer = ModelTimer(model, clocked, ksp.trace_channels(model).graph)
    start = time.process_time()
    pruned = prune(model, images, ratio, method, repair, runtime, timer)
    seconds = time.process_time() - start
    if runtime.folded:
        pruned = ksp.fold_normalization(pruned)
    before, after = timer.time_beside(pruned)
    x = problem.test[0][:3000]
    ours, theirs = (
        one.predict(x, batch_size=250, verbose=0).argmax(axis=-1)
        for one in (pruned, model)
    )
    return [
        f"{after / before:.3f}",
        f"{np.mean(ours == problem.test[1][:3000]):.4f}",
        f"{np.mean(ours == theirs):.4f}",
        count_blocks(model) - count_blocks(pruned),
        f"{ksp.count_flops(pruned) / ksp.count_flops(model):.3f}",
        f"{seconds:.0f}",
    ]


def main():
    """Measures what is not in latency_accuracy.csv yet, and prints all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet20", "mobilenet"])
    methods = ["flops", *METHODS]
    parser.add_argument("--methods", nargs="+", default=methods)
    parser.add_argument("--repairs", nargs="+", default=["least_squares"])
    parser.add_argument("--targets", nargs="+", default=["litert"])
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.5])
    parser.add_argument("--seeds", type=int, default=2)
    args = networks.parse_arguments(parser)
    path = args.output / "latency_accuracy.csv"
    rows = [list(row.values()) for row in networks.read_csv(path)]
    for name in args.networks:
        problem = load(args, name)
        print(f"{name}: {problem.accuracy(problem.model):.4f}", flush=True)
        for case in (
            [name, target, str(ratio), str(seed), method, repair]
            for target in args.targets
            for ratio in args.ratios
            for seed in range(args.seeds)
            for method in args.methods
            for repair in args.repairs
        ):
            if case in [row[:6] for row in rows]:
                continue
            _, target, ratio, seed, method, repair = case
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = measure(
                        problem, target, float(ratio), int(seed), method, repair
                    )
                except ValueError as error:  # no blocks, or not so many
                    print(*case, error, flush=True)
                    continue
            rows.append([*case, *map(str, found)])
            print(*rows[-1], flush=True)
            networks.write_csv(path, FIELDS, rows)


if __name__ == "__main__":
    main()
