"""TorchPruner's row of the comparison: the plain network, Shapley values of the loss.

    ENVIRONMENT/bin/python benchmarks/peers/torchpruner_rows.py

As its README does it: values behind normalization and activation, five permutations,
labels are used; each layer loses the share of its channels with the lowest values. The
residual network cannot be given to it: a module is told the modules that read it, and
those of a sum read each other's. Appends to peers.csv.
"""

import argparse
import copy
import itertools
import pathlib
import time

import numpy as np
import table
import torch
import torch_networks
from torch.nn import functional
from torchpruner.attributions import ShapleyAttributionMetric
from torchpruner.pruner import Pruner
from torchpruner.utils.graph import get_vgg_pruning_graph

PEER = "TorchPruner"
RATIOS = (0.25, 0.5, 0.75)
REDUCTIONS = {  # of the values of single images, both from one run
    "Shapley, mean": lambda values: values.mean(0),
    "Shapley, mean + 2 std": lambda values: values.mean(0) + 2 * values.std(0),
}


def attribute(model, images, labels, num_permutations):
    """Returns the values of each layer that loses channels, by name, for each image."""
    data = torch.utils.data.TensorDataset(images, labels)
    loader = torch.utils.data.DataLoader(data, batch_size=len(images))
    metric = ShapleyAttributionMetric(
        model,
        loader,
        functional.cross_entropy,
        torch.device("cpu"),
        reduction="none",
        sv_samples=num_permutations,
    )
    names = {module: name for name, module in model.named_modules()}
    values = {}
    for module, _ in get_vgg_pruning_graph(model):
        start = time.perf_counter()
        found = metric.run(module, find_best_evaluation_module=True)
        values[names[module]] = found
        print(f"{names[module]}: {time.perf_counter() - start:.0f} s", flush=True)
    return values


def prune(model, values, ratio):
    """Removes the share `ratio` of each layer's channels, those of lowest value."""
    modules = dict(model.named_modules())
    pruner = Pruner(model, input_size=(3, 32, 32), device=torch.device("cpu"))
    readers = dict(get_vgg_pruning_graph(model))
    for name, scores in values.items():
        lowest = np.argsort(scores)[: int(ratio * len(scores))]
        module = modules[name]
        with torch.no_grad():
            pruner.prune_model(module, lowest, cascading_modules=readers[module])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--permutations", type=int, default=5)
    parser.add_argument("--cache", default=".cache")
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    args = parser.parse_args()
    rows = table.Table(args.output / "peers.csv")
    problem = torch_networks.load("cnn", args.cache)
    macs = torch_networks.count_macs(problem.model, problem.test[0][:1])
    params = torch_networks.count_params(problem.model)
    for seed in range(args.seeds):
        key = PEER, "cnn", "all", list(REDUCTIONS)[-1], "batchnorm", "channels"
        if rows.has(*key, RATIOS[-1], seed):
            continue
        np.random.seed(seed)
        images, labels = problem.draws[seed]
        start = time.perf_counter()
        values = attribute(problem.model, images, labels, args.permutations)
        seconds = time.perf_counter() - start
        for (method, reduce), ratio in itertools.product(REDUCTIONS.items(), RATIOS):
            model = copy.deepcopy(problem.model)
            prune(model, {name: reduce(v) for name, v in values.items()}, ratio)
            left = (
                torch_networks.count_macs(model, images[:1]) / macs,
                torch_networks.count_params(model) / params,
            )
            for repair in ("none", "batchnorm"):
                if repair == "batchnorm":
                    torch_networks.reestimate_batchnorm(model, images)
                row = PEER, "cnn", "all", method, repair, "channels", ratio, seed
                rows.add(*row, problem.accuracy(model), *left, seconds)


if __name__ == "__main__":
    main()
