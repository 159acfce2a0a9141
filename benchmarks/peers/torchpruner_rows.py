"""TorchPruner's rows of the comparison: Shapley values of the loss.

    ENVIRONMENT/bin/python benchmarks/peers/torchpruner_rows.py [--networks cnn]

As its README does it: values behind normalization and activation, five permutations,
labels are used; each layer loses the share of its channels with the lowest values. The
plain network has a `forward_partial`, the residual one runs whole for each value. Which
modules read a layer is told by hand. Values are kept in `.cache/peers`, as they take
minutes. Appends to peers.csv.
"""

import argparse
import copy
import itertools
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


def list_readers(problem):
    """Returns a dict: module that loses channels -> modules that read them."""
    model = problem.model
    if problem.name == "cnn":
        return dict(get_vgg_pruning_graph(model))
    return {
        getattr(model, f"{name}_conv1"): [
            getattr(model, f"{name}_bn1"),
            getattr(model, f"{name}_conv2"),
        ]
        for name, _, _ in model.blocks()
    }


def attribute(problem, seed, num_permutations, cache):
    """Returns the values of each layer that loses channels, and the seconds."""
    images, labels = problem.draws[seed]
    data = torch.utils.data.TensorDataset(images, labels)
    loader = torch.utils.data.DataLoader(data, batch_size=len(images))
    metric = ShapleyAttributionMetric(
        problem.model,
        loader,
        functional.cross_entropy,
        torch.device("cpu"),
        reduction="none",
        sv_samples=num_permutations,
    )
    names = {module: name for name, module in problem.model.named_modules()}
    values, seconds = {}, 0.0
    for module in list_readers(problem):
        name = names[module]
        path = (
            cache / f"torchpruner_{problem.name}_{seed}_{num_permutations}_{name}.npz"
        )
        if not path.exists():
            np.random.seed(seed)
            start = time.perf_counter()
            found = metric.run(module, find_best_evaluation_module=True)
            np.savez(path, values=found, seconds=time.perf_counter() - start)
        with np.load(path) as file:
            values[name] = file["values"]
            seconds += float(file["seconds"])
        print(f"{name}: {seconds:.0f} s so far", flush=True)
    return values, seconds


def prune(problem, values, ratio):
    """Returns a network without the channels of lowest value of each layer."""
    copied = copy.deepcopy(problem)
    names = dict(copied.model.named_modules())
    pruner = Pruner(copied.model, input_size=(3, 32, 32), device=torch.device("cpu"))
    readers = list_readers(copied)
    for name, scores in values.items():
        lowest = np.argsort(scores)[: int(ratio * len(scores))]
        module = names[name]
        with torch.no_grad():
            pruner.prune_model(module, lowest, cascading_modules=readers[module])
    return copied.model


def measure(rows, problem, layers, seed, num_permutations, cache):
    """Adds the rows of one network and one draw of the images."""
    images = problem.draws[seed][0]
    values, seconds = attribute(problem, seed, num_permutations, cache)
    for (method, reduce), ratio in itertools.product(REDUCTIONS.items(), RATIOS):
        reduced = {name: reduce(value) for name, value in values.items()}
        model = prune(problem, reduced, ratio)
        left = torch_networks.shares_left(model, problem.model, images[:1])
        for repair in ("none", "batchnorm"):
            if repair == "batchnorm":
                torch_networks.reestimate_batchnorm(model, images)
            key = PEER, problem.name, layers, method, repair, "channels", ratio, seed
            rows.add(*key, problem.accuracy(model), *left, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["cnn", "resnet20"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--permutations", type=int, default=5)
    args = table.parse_arguments(parser)
    rows = table.Table(args.output / "peers.csv")
    for name, seed in itertools.product(args.networks, range(args.seeds)):
        problem = torch_networks.load(name, args.cache)
        layers = "all" if name == "cnn" else "inside"
        key = PEER, name, layers, list(REDUCTIONS)[-1], "batchnorm", "channels"
        if not rows.has(*key, RATIOS[-1], seed):
            cache = args.cache / "peers"
            cache.mkdir(parents=True, exist_ok=True)
            measure(rows, problem, layers, seed, args.permutations, cache)


if __name__ == "__main__":
    main()
