"""Predicted against measured latency, of networks that were not fitted to.

    python benchmarks/latency.py --pretrained DIR [--networks resnet20 ...]
        [--runtimes litert ...] [--seeds 2]

For each network and runtime a `LatencyTable` is measured. Then plans for a quarter, a
half and three quarters of the time are made of random rankings, whose widths are not
those of the table, and the networks are cut and timed beside the original. The last
rows of each are those of `plan_pruning`, which measures and corrects what it plans.
"""

import argparse
import pathlib
import time
import warnings

import keras
import numpy as np
from networks import parse_arguments, read_csv, write_csv

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.plan.latency_costs import LatencyCosts
from keras_shapley_prune.plan.selection import make_plan

RUNTIMES = {
    "tensorflow_1": ksp.Runtime("tensorflow"),
    "tensorflow_32": ksp.Runtime("tensorflow", batch_size=32),
    "litert": ksp.Runtime("litert"),
    "litert_int8": ksp.Runtime("litert", int8=True),
}
NETWORKS = ("resnet20", "mobilenet", "MobileNetV2", "EfficientNetB0", "ResNet50")
SHARES = (0.25, 0.5, 0.75)  # of the time, that are kept
SCOPES = ("layer", "global")
HEADER = "network runtime kind scope seed asked predicted measured error milliseconds"
FILES = {
    "resnet20": "resnet20_cifar10.keras",
    "resnet56": "resnet56_cifar10.keras",
    "mobilenet": "mobilenet025_imagenet.keras",
}


def load(name, folder):
    """Returns a network: one of the pretrained files, or of keras.applications."""
    if name in FILES:
        path = pathlib.Path(folder) / FILES[name]
        return keras.models.load_model(path, compile=False)
    return getattr(keras.applications, name)(weights=None)


def measure(model, runtime, seeds):
    """Yields rows, from `kind` on.

    Args:
        model: The `keras.Model`.
        runtime: The `Runtime`.
        seeds: Integer, how many random rankings.
    """
    start = time.perf_counter()
    channel_map = ksp.trace_channels(model)
    table = ksp.measure_latency_table(model, runtime, channel_map)
    costs = LatencyCosts(channel_map, table)
    spent = time.perf_counter() - start
    count = sum(x is not None for times in table.pieces.values() for x in times)
    yield "table", "", "", "", costs.step, count, spent, 1e3 * table.whole[0]
    timer = ModelTimer(model, runtime, channel_map.graph)
    whole = costs.count()
    for seed in range(seeds):
        ranking = ksp.BaselineRanker("random", seed=seed).rank(model)
        for share in SHARES:
            for scope in SCOPES:
                budget = ksp.PruningBudget(1 - share, "latency", scope)
                try:
                    plan = make_plan(channel_map, ranking, budget, True, costs)
                except ValueError:  # out of reach
                    continue
                cut = ksp.remove_channels(model, plan.keep, channel_map)
                before, after = timer.time_beside(cut)
                predicted, measured = costs.count(plan.keep) / whole, after / before
                error = predicted / measured - 1
                given = "predicted", scope, seed, share, predicted, measured, error
                yield *given, 1e3 * after
    for share in SHARES:
        budget = ksp.PruningBudget(1 - share, "latency", target=table)
        try:
            plan = ksp.plan_pruning(model, ranking, budget, channel_map)
        except ValueError:
            continue
        if plan.latency.measured is None:  # a function's table is not measured again
            continue
        first, last = plan.latency.predicted
        again = timer.time_beside(ksp.remove_channels(model, plan.keep, channel_map))
        # What the plan was chosen by is not what it is judged by.
        measured = again[1] / again[0]
        error = measured / share - 1
        yield (
            "closed loop",
            "layer",
            seed,
            share,
            last / first,
            measured,
            error,
            (1e3 * again[1]),
        )


def summarize(rows):
    """Prints the errors of each network and runtime."""
    cases = dict.fromkeys((row[0], row[1]) for row in rows)
    for kind in ("predicted", "closed loop"):
        for case in cases:
            found = [
                abs(float(row[8]))
                for row in rows
                if (row[0], row[1], row[2]) == (*case, kind)
            ]
            if found:
                print(
                    f"{case[0]:15} {case[1]:14} {kind:12} errors of {len(found)}: "
                    f"median {np.median(found):.1%}, worst {max(found):.1%}"
                )


def main():
    """Measures, and adds to benchmarks/results/latency.csv what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES))
    parser.add_argument("--seeds", type=int, default=2)
    args = parse_arguments(parser)
    path = args.output / "latency.csv"
    rows = [list(row.values()) for row in read_csv(path)]
    for name in args.networks:
        for runtime in args.runtimes:
            if any(row[:2] == [name, runtime] for row in rows):
                continue
            model = load(name, args.pretrained)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for row in measure(model, RUNTIMES[runtime], args.seeds):
                    rows.append([name, runtime, *map(_to_text, row)])
                    print(*rows[-1], flush=True)
            write_csv(path, HEADER, rows)
    summarize(rows)


def _to_text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
