"""Our rows of the comparison: `prune` with its defaults, and what else is compared.

    python benchmarks/peers/ours.py [--networks resnet20 cnn] [--seeds 3]

Appends to peers.csv; rows that are there already are not computed again.
"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import networks
import table

import keras_shapley_prune as ksp

PEER = "keras_shapley_prune"
RATIOS = (0.25, 0.5, 0.75)
VARIANTS = {  # (layers, of): arguments
    ("inside", "channels"): {},
    ("inside", "flops"): {"of": "flops", "scope": "global"},
    ("inside", "params"): {"of": "params", "scope": "global"},
    ("all", "channels"): {},
    ("all", "flops"): {"of": "flops", "scope": "global"},
}
METHODS = {  # (method, repair): ranking, arguments
    ("default", "least squares"): (None, {}),
    ("l1_norm", "none"): ("l1_norm", {"repair": None}),
    ("l1_norm", "batchnorm"): ("l1_norm", {"repair": "batchnorm"}),
    ("l1_norm", "least squares"): ("l1_norm", {}),
}


def measure(problem, seed, layers, ranking, ratio, arguments):
    """Returns accuracy, FLOPs and parameters that are left, and seconds."""
    x, _ = problem.calibration(200, seed)
    start = time.perf_counter()
    pruned = ksp.prune(
        problem.model,
        x,
        ratio,
        layers=problem.layers if layers == "inside" else None,
        ranker=ranking and ksp.BaselineRanker(ranking, seed=seed),
        verbose=0,
        **arguments,
    )
    seconds = time.perf_counter() - start
    flops = ksp.count_flops(pruned) / ksp.count_flops(problem.model)
    params = pruned.count_params() / problem.model.count_params()
    return problem.accuracy(pruned), flops, params, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "cnn"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["default", "l1_norm"])
    args = networks.parse_arguments(parser)
    rows = table.Table(args.output / "peers.csv")
    for name in args.networks:
        problem = networks.NETWORKS[name](args)
        for seed in range(args.seeds):
            for (layers, of), budget in VARIANTS.items():
                if name.startswith("resnet"):
                    if seed and (layers == "all" or of == "params"):
                        continue  # side questions: one draw
                elif layers == "inside":
                    continue
                for (method, repair), (ranking, how) in METHODS.items():
                    if method not in args.methods or (ranking and layers == "all"):
                        continue
                    for ratio in RATIOS:
                        key = (PEER, name, layers, method, repair, of, ratio, seed)
                        if not rows.has(*key):
                            arguments = {**budget, **how}
                            found = measure(
                                problem, seed, layers, ranking, ratio, arguments
                            )
                            rows.add(*key, *found)


if __name__ == "__main__":
    main()
