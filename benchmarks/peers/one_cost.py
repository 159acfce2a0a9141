"""One way to prune one network, in a process of its own: see cost.py.

Prints one line of JSON. Runs in our environment, or in that of Torch-Pruning.
"""

import argparse
import copy
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

RATIO = 0.5
OURS = {  # way: arguments of `prune`
    "ours: default, least squares": {},
    "ours: L1 norm, least squares": {"ranker": "l1_norm"},
    "ours: L1 norm, BatchNorm": {"ranker": "l1_norm", "repair": "batchnorm"},
}


def open_ours(way, network, args):
    """Returns callables: predict, prune, accuracy of what that returned."""
    import networks

    import keras_shapley_prune as ksp

    problem = networks.NETWORKS[network](args)
    images, _ = problem.calibration(200, 0)

    def prune():
        return ksp.prune(
            problem.model, images, RATIO, layers=problem.layers, verbose=0, **OURS[way]
        )

    return lambda: problem.model.predict(images, verbose=0), prune, problem.accuracy


def open_torch_pruning(way, network, args):
    """Returns the same of Torch-Pruning's L1 norm, then BatchNorm statistics."""
    import torch
    import torch_networks
    import torch_pruning_rows

    problem = torch_networks.load(network, args.cache)
    images, labels = problem.draws[0]

    def predict():
        with torch.no_grad():
            for batch in images.split(32):
                problem.model(batch)

    def prune():
        model = copy.deepcopy(problem.model)
        pruner = torch_pruning_rows.make_pruner(
            "L1 norm", model, "inside", images[:1], pruning_ratio=RATIO
        )
        torch_pruning_rows.step("L1 norm", model, pruner, images, labels)
        torch_networks.reestimate_batchnorm(model, images)
        return model

    return predict, prune, problem.accuracy


def memory_of_process():
    """Returns the resident memory of this process and its peak so far, in MB."""
    with open("/proc/self/status", encoding="ascii") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return [int(fields[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")]


def time_cpu(run):
    """Returns the CPU seconds of a call, and what it returned."""
    start = time.process_time()
    returned = run()
    return time.process_time() - start, returned


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("way")
    parser.add_argument("network")
    parser.add_argument("--cache", default=".cache")
    parser.add_argument("--pretrained", default="../shared/data")
    args = parser.parse_args()
    start = open_ours if args.way in OURS else open_torch_pruning
    predict, prune, accuracy = start(args.way, args.network, args)
    predict()
    forward = min(time_cpu(predict)[0] for _ in range(3))
    resident, _ = memory_of_process()
    seconds, pruned = time_cpu(prune)
    found = {
        "cpu_seconds": seconds,
        "forward_seconds": forward,
        "resident_mb": resident,
        "peak_mb": memory_of_process()[1],
        "accuracy": accuracy(pruned),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
