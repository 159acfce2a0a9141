"""Sony MCT's rows of the comparison: its PyTorch half, on the residual network.

    ENVIRONMENT/bin/python benchmarks/peers/mct_rows.py

The budget is one of parameters, over all layers. MCT removes channels in the groups of
its target platform, 32 at least by default, for which this network is too narrow; with
the groups set to 1 it meets the budgets. In 2.6.1 the normalizations between two pruned
layers come back with initial weights: they are copied from the original by the masks
that it returns, before anything else is done. Appends to peers.csv.
"""

import argparse
import copy
import inspect
import re
import time

import model_compression_toolkit as mct
import table
import torch_networks

PEER = "Sony MCT"
RATIOS = (0.25, 0.5, 0.75)


def single_channels():
    """Returns the default target platform, with channels that leave one by one."""
    signature = inspect.signature(mct.pruning.pytorch_pruning_experimental)
    platform = signature.parameters["target_platform_capabilities"].default
    text = re.sub(r'"simd_size":\d+', '"simd_size":1', platform.model_dump_json())
    return type(platform).model_validate_json(text)


def prune(problem, ratio, images, **arguments):
    """Returns the network without the share `ratio` of its parameters, and masks."""
    size = 4 * torch_networks.count_params(problem.model)
    pruned, found = mct.pruning.pytorch_pruning_experimental(
        copy.deepcopy(problem.model),
        mct.core.ResourceUtilization(weights_memory=size * (1 - ratio)),
        lambda: ([batch.numpy()] for batch in images.contiguous().split(50)),
        **arguments,
    )
    masks = {node.name: mask > 0 for node, mask in found.pruning_masks.items()}
    return pruned, masks


def copy_normalizations(pruned, original, masks):
    """Gives the normalizations behind pruned layers their weights and statistics."""
    for name, mask in masks.items():
        norm = name.replace("_conv", "_bn")
        values = original.get_submodule(norm).state_dict()
        kept = {k: v[mask] if v.dim() else v for k, v in values.items()}
        pruned.get_submodule(norm).load_state_dict(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    args = table.parse_arguments(parser)
    rows = table.Table(args.output / "peers.csv")
    problem = torch_networks.load("resnet20", args.cache)
    for seed in range(args.seeds):
        images = problem.draws[seed][0]
        try:
            prune(problem, RATIOS[1], images)
        except Exception as error:
            print(f"groups of the default platform: {error}")
        for ratio in RATIOS:
            start = time.perf_counter()
            platform = single_channels()
            model, masks = prune(
                problem, ratio, images, target_platform_capabilities=platform
            )
            seconds = time.perf_counter() - start
            left = torch_networks.shares_left(model, problem.model, images[:1])
            for repair in ("none", "norms copied", "norms copied + batchnorm"):
                if repair == "norms copied":
                    copy_normalizations(model, problem.model, masks)
                if repair == "norms copied + batchnorm":
                    torch_networks.reestimate_batchnorm(model, images)
                key = PEER, "resnet20", "inside", "LFH", repair, "params", ratio, seed
                if not rows.has(*key):
                    rows.add(*key, problem.accuracy(model), *left, seconds)


if __name__ == "__main__":
    main()
