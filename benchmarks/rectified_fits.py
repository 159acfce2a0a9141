"""What it is worth to fit layers through the ReLU that follows them.

    python benchmarks/rectified_fits.py [--networks ...] [--rounds 0 2 3 6]
        [--budgets ...] [--seeds 1] [--pretrained DIR] [--cache DIR] [--output DIR]

Every network is pruned by a share of its FLOPs, all groups of it ("cnn": by a share of
the units of each layer), from 200 unlabelled images, and repaired by least squares. Of
one ranking and plan, each row is repaired with another number of rounds of
`RectifiedFit`; with 0, layers are fitted to what they return before the ReLU.

Accuracy, and agreement with the original network, are those on the first 3,000 test
images (500 for ImageNet). Writes rectified_fits.csv. Seconds are CPU seconds of cut and
repair.
"""

import argparse
import csv
import itertools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np
from allocation import NUM_IMAGES, NUM_TEST, outputs_ranker, predict

import keras_shapley_prune as ksp
from keras_shapley_prune.plan.selection import ratios_to_rank
from keras_shapley_prune.repair import rectified_fit

HEADER = "network seed budget rounds accuracy agreement seconds"
BUDGETS = {
    "resnet20": (0.5, 0.75),
    "resnet32": (0.3, 0.5),
    "mobilenet": (0.3,),
}
NETWORKS = ("resnet20", "resnet8", "mobilenet", "resnet32", "cnn", "resnet56")


def plan_cuts(problem, images, seed, ratios):
    """Yields each budget and its `PruningPlan`, of one ranking."""
    channel_map, model = ksp.trace_channels(problem.model), problem.model
    if problem.name == "cnn":
        of, ranker = {}, ksp.ShapleyRanker(seed=seed)
    else:
        of, ranker = {"of": "flops", "scope": "global"}, outputs_ranker(seed)
    deepest = ksp.PruningBudget(max(ratios), **of)
    wanted = ratios_to_rank(channel_map, deepest)
    ranking = ranker.rank(
        model, images, channel_map=channel_map, ratio=wanted, verbose=0
    )
    for ratio in ratios:
        yield ratio, ksp.plan_pruning(model, ranking, ratio, channel_map, **of)


def measure(problem, seed, ratios, rounds):
    """Yields a row for each budget and number of rounds."""
    images, _ = problem.calibration(NUM_IMAGES, seed)
    predicted = predict(problem, problem.model)
    for ratio, plan in plan_cuts(problem, images, seed, ratios):
        for number in rounds:
            rectified_fit.ROUNDS = number
            start = time.process_time()
            pruned = ksp.repair_channels(
                problem.model, plan.keep, images, verify=False, verbose=0
            )
            seconds = time.process_time() - start
            found = predict(problem, pruned)
            accuracy = np.mean(found == problem.test[1][:NUM_TEST])
            shown = accuracy, np.mean(found == predicted), seconds
            yield [
                *(problem.name, seed, ratio, number),
                *(round(float(x), 4) for x in shown),
            ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--rounds", nargs="+", type=int, default=(0, 2, 3, 6))
    parser.add_argument("--budgets", nargs="+", type=float, help="shares to remove")
    parser.add_argument("--seeds", type=int, default=1)
    args = networks.parse_arguments(parser)
    with open(args.output / "rectified_fits.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.split())
        for network, seed in itertools.product(args.networks, range(args.seeds)):
            problem = networks.NETWORKS[network](args)
            ratios = args.budgets or BUDGETS.get(network, (0.5,))
            for row in measure(problem, seed, ratios, args.rounds):
                writer.writerow(row)
                file.flush()
                print(*row, flush=True)


if __name__ == "__main__":
    main()
