"""What pruning costs outside of ranking, on large graphs.

    python benchmarks/structure.py [--networks NAME ...] [--shapley] [--profile]

1. `trace_channels` and `remove_channels` (half of the units) on ResNet152 against
   `keras.models.clone_model` and `set_weights` on the same network, taking turns: the
   ratio of each pair, which should stay below 3.
2. The seconds of each step of `prune` on networks of about a thousand operations, with
   no repair and the L1 norm or, with `--shapley`, the default ranker and repair (which
   take minutes). The share outside of ranking should stay below a tenth with the
   latter.

Prints tables. `--profile` prints where the time of 2. goes, function by function.
"""

import argparse
import cProfile
import os
import pstats
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_shapley_prune as ksp
from keras_shapley_prune.cut.layer_copies import check_copies
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.selection import make_plan
from keras_shapley_prune.rank.resolve_ranker import rank_for
from keras_shapley_prune.repair.repairer import Repairer

NETWORKS = {"NASNetLarge": 96, "ConvNeXtXLarge": 32, "EfficientNetB7": 32}


def build(name, size):
    """Returns a network of `keras.applications` with random weights."""
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def seconds(function):
    """Returns what a function returns, and how long it took."""
    start = time.perf_counter()
    returned = function()
    return returned, time.perf_counter() - start


def compare_with_cloning(name, size, num_runs):
    """Prints how long surgery takes, as a multiple of a copy of the model."""
    model = build(name, size)

    def clone():
        keras.models.clone_model(model).set_weights(model.get_weights())

    def cut():
        channel_map = ksp.trace_channels(model)
        keep = np.ones(channel_map.num_units, bool)
        for group in channel_map.groups:
            keep[group.units[: group.num_units // 2]] = False
        ksp.remove_channels(model, keep, channel_map)

    ratios = []
    for run in range(num_runs):
        pair = {function: seconds(function)[1] for function in (clone, cut)}
        ratios.append(pair[cut] / pair[clone])
        print(
            f"{name}, run {run}: clone_model + set_weights {pair[clone]:.2f} s, "
            f"trace_channels + remove_channels {pair[cut]:.2f} s, "
            f"{ratios[-1]:.2f} times"
        )
    print(f"{name}: median {np.median(ratios):.2f} times, should be below 3\n")


def time_steps(name, size, num_images, shapley):
    """Prints the seconds of each step of `prune`."""
    model = build(name, size)
    x = np.random.default_rng(0).normal(size=(num_images, size, size, 3))
    starts, budget = range(0, num_images, 32), PruningBudget(0.5)
    ranker = None if shapley else ksp.BaselineRanker("l1_norm")
    times = {}

    def step(label, function, *arguments, **options):
        returned, times[label] = seconds(lambda: function(*arguments, **options))
        return returned

    channel_map = step("trace_channels", ksp.trace_channels, model)
    step("check_copies", check_copies, channel_map.graph)
    config = step("copy_compile_config", copy_compile_config, model)
    ranking = step("rank", rank_for, model, x, budget, ranker, channel_map, 0)
    plan = step("make_plan", make_plan, channel_map, ranking, budget)
    keep, whole, whole_map = plan.keep, model, channel_map
    batches = [[keras.ops.convert_to_tensor(x[i : i + 32], "float32")] for i in starts]
    if shapley:
        repairer = step("Repairer", Repairer, model, channel_map, batches, keep)
        step("repair", repairer.advance, len(channel_map.graph.calls))
        whole, whole_map = repairer.model, repairer.channel_map
    pruned = step("remove_channels", ksp.remove_channels, whole, keep, whole_map)
    step("verify", verify_removal, whole, pruned, keep, x, whole_map)
    step("compile", compile_with, pruned, config)
    print(
        f"{name}, {len(channel_map.graph.calls)} calls, {len(channel_map.groups)}"
        f" groups, {channel_map.num_units} units, {num_images} images"
    )
    for label, taken in times.items():
        print(f"  {label:20} {taken:7.2f} s")
    total = sum(times.values())
    outside = 1 - times["rank"] / total
    print(f"  {'sum':20} {total:7.2f} s, {outside:.1%} outside of ranking", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--shapley", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.runs:
        compare_with_cloning("ResNet152", 32, options.runs)
    for name in options.networks:
        profile = cProfile.Profile()
        arguments = name, NETWORKS.get(name, 64), options.images, options.shapley
        if not options.profile:
            time_steps(*arguments)
            continue
        profile.runcall(time_steps, *arguments)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
