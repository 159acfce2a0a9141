"""Torch-Pruning's networks of many sizes, for `equal_latency.py` to choose from.

    ENVIRONMENT/bin/python benchmarks/peers/torch_pruning_paths.py --folder FOLDER
        --cut NETWORK,LAYERS,OF,SEED,METHOD | --repair NUMBER,REPAIR,NETWORK,SEED

`--cut` writes the networks of a case, from large to small, each as `NUMBER.npz` for
Keras and as `NUMBER.pt`. `--repair` writes `NUMBER-REPAIR-SEED.npz`, one of them after
BatchNorm statistics, or training, from the 200 images of a draw.
"""

import argparse
import copy
import pathlib
import time

import numpy as np
import torch
import torch_networks
import torch_pruning_rows

RATIOS = np.arange(0.04, 0.95, 0.02)
LARGEST, SMALLEST = 0.75, 0.05  # share of FLOPs
APART = 0.01  # of the FLOPs
EIGHTS = ", multiples of 8"  # behind a method's name: `round_to=8`


def cut_alike(problem, method, layers, seed, **rounding):
    """Yields networks and CPU seconds: the same share of each layer, one step each."""
    images, labels = problem.draws[seed]
    for ratio in RATIOS:
        model = copy.deepcopy(problem.model)
        start = time.process_time()
        pruner = torch_pruning_rows.make_pruner(
            method, model, layers, images[:1], pruning_ratio=float(ratio), **rounding
        )
        torch_pruning_rows.step(method, model, pruner, images, labels)
        yield model, time.process_time() - start


def cut_globally(problem, method, layers, seed, **rounding):
    """Yields networks and CPU seconds: over all layers, in as many steps as theirs."""
    images, labels = problem.draws[seed]
    model = copy.deepcopy(problem.model)
    num_steps = 50 if method in torch_pruning_rows.NEED_DATA else 400
    start = time.process_time()
    pruner = torch_pruning_rows.make_pruner(
        method,
        model,
        layers,
        images[:1],
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=num_steps,
        **rounding,
    )
    for _ in range(num_steps):
        torch_pruning_rows.step(method, model, pruner, images, labels)
        yield model, time.process_time() - start


CUTS = {"channels": cut_alike, "global": cut_globally}


def write(model, image, path, seconds):
    """Writes a network's weights, what it returns, and what it took."""
    with torch.no_grad():
        expected = model(image)
    arrays = {f"w/{name}": value.numpy() for name, value in model.state_dict().items()}
    np.savez(path, expected=expected.numpy(), seconds=seconds, **arrays)


def cut(folder, case):
    """Writes all networks of a case whose share of the FLOPs is of interest."""
    network, layers, of, seed, method = case.split(",", 4)
    problem = torch_networks.load(network)
    torch.manual_seed(int(seed))
    rounding = {"round_to": 8} if method.endswith(EIGHTS) else {}
    method = method.removesuffix(EIGHTS)
    image = problem.test[0][:20]
    last, number = LARGEST, 0
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    for model, seconds in CUTS[of](problem, method, layers, int(seed), **rounding):
        share, _ = torch_networks.shares_left(model, problem.model, image[:1])
        if share > last - APART:
            continue
        last, number = share, number + 1
        model.zero_grad()
        torch.save(model, unfinished / f"{number:03}.pt")
        write(model, image, unfinished / f"{number:03}.npz", seconds)
        if share < SMALLEST:
            break
    unfinished.rename(folder)


def repair(folder, number, how, network, seed):
    """Writes a network after what its users may do with the images of a draw."""
    problem = torch_networks.load(network)
    torch.manual_seed(seed)
    model = torch.load(folder / f"{number}.pt", weights_only=False)
    images, _ = problem.draws[seed]
    start = time.process_time()
    torch_networks.reestimate_batchnorm(model, images)
    if how == "trained":
        torch_pruning_rows.finetune(model, problem.model, images)
    path = folder / f"{number}-{how}-{seed}.npz"
    write(model, problem.test[0][:20], path, time.process_time() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--cut", metavar="NETWORK,LAYERS,OF,SEED,METHOD")
    parser.add_argument("--repair", metavar="NUMBER,REPAIR,NETWORK,SEED")
    args = parser.parse_args()
    if args.cut:
        cut(args.folder, args.cut)
    else:
        number, how, network, seed = args.repair.split(",")
        repair(args.folder, number, how, network, int(seed))


if __name__ == "__main__":
    main()
