"""Does Torch-Pruning's pruned network compute what the masked one does?

    ENVIRONMENT/bin/python benchmarks/peers/masked_equals_pruned.py [--models NAME ...]

On torchvision's classification models with random weights, half of the channels of each
group drawn at random, all but the last layer's. Masked: the same channels' weights set
to 0 in a network of full size, those of all layers of the group, as Torch-Pruning's
tests/test_soft_pruning.py does it. Not asked of networks with LayerNorm, whose
statistics know about channels that are 0: there is only seen if they run. Printed: the
share of parameters that is left, and the largest difference relative to the largest
output, or the error. Writes peers_masked.csv.
"""

import argparse
import copy
import csv
import pathlib
import time
import zlib

import torch
import torch_pruning
import torchvision
from torch import nn

torch.set_num_threads(1)
FIELDS = "model params_left difference seconds error".split()
MODELS = """alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2
    squeezenet1_1 densenet121 googlenet inception_v3 mobilenet_v2 mobilenet_v3_small
    mnasnet1_0 shufflenet_v2_x1_0 efficientnet_b0 regnet_y_400mf regnet_x_400mf
    convnext_tiny vit_b_16 swin_t""".split()


def build(name, generator):
    """Returns a model with random weights and statistics, and images for it."""
    model = torchvision.models.get_model(name, weights=None).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean):
                value.data += 0.2 * torch.randn(value.shape, generator=generator)
    size = {"inception_v3": 299, "maxvit_t": 224, "vit_b_16": 224}.get(name, 128)
    images = torch.randn(4, 3, size, size, generator=generator)
    model.train()
    for module in model.modules():  # statistics of the images: no vanishing outputs
        module.training = isinstance(module, nn.BatchNorm2d)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model(images)
    return model.eval(), images


def draw(group):
    """Returns random scores of a group's channels, the same in each network."""
    _, channels = group[0]
    seed = zlib.crc32(group[0].dep.target.name.split(" ")[0].encode())
    return torch.rand(len(channels), generator=torch.Generator().manual_seed(seed))


def start_pruner(model, images):
    """Returns a pruner of half of all channels, as its examples set it up."""
    leaves = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    attentions = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    return torch_pruning.pruner.BasePruner(
        model,
        images[:1],
        importance=draw,
        pruning_ratio=0.5,
        ignored_layers=[leaves[-1]],
        out_channel_groups={module: module.num_heads for module in attentions},
    )


def mask(model, group):
    """Sets the weights of a group's channels to 0 in the network of full size."""
    modules = dict(model.named_modules())
    for dependency, channels in group:
        module = modules.get(dependency.target.name.split(" ")[0])
        if not hasattr(module, "weight"):
            continue
        into = "in_channels" in dependency.handler.__name__
        if into and isinstance(module, nn.Conv2d | nn.Linear):
            if getattr(module, "groups", 1) == 1:
                module.weight.data[:, channels] = 0
            continue
        for value in (module.weight, module.bias):
            if value is not None:
                value.data[channels] = 0


def compare(name):
    """Returns one row of the table, as a dict."""
    model, images = build(name, torch.Generator().manual_seed(0))
    masked, pruned = copy.deepcopy(model), copy.deepcopy(model)
    row = {"model": name}
    start = time.perf_counter()
    try:
        start_pruner(pruned, images).step()
        row["seconds"] = time.perf_counter() - start
        if hasattr(pruned, "hidden_dim"):  # a ViT's number, as its example sets it
            pruned.hidden_dim = pruned.conv_proj.out_channels
        with torch.no_grad():
            received = pruned(images)
        before, after = (
            sum(p.numel() for p in m.parameters()) for m in (model, pruned)
        )
        row["params_left"] = after / before
        if any(isinstance(module, nn.LayerNorm) for module in model.modules()):
            row["difference"] = "runs"
            return row
        for group in start_pruner(masked, images).step(interactive=True):
            mask(masked, group)
        with torch.no_grad():
            expected = masked(images)
        difference = (expected - received).abs().max() / expected.abs().max()
        row["difference"] = f"{difference:.1e}"
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".split("\n")[0][:160]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    output = pathlib.Path("benchmarks/results")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    args = parser.parse_args()
    with open(args.output / "peers_masked.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for name in args.models:
            row = compare(name)
            writer.writerow(row)
            file.flush()
            print(*(row.get(field, "") for field in FIELDS), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
