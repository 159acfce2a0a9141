"""The same pretrained networks in PyTorch, from what `export.py` wrote.

The names of the layers are those of the Keras files. `load` refuses a network whose
outputs are not those of Keras.
"""

import dataclasses
import functools
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)


class ResNet(nn.Module):
    """Three stages of blocks; strided blocks have a 1 x 1 shortcut, no norm.

    Args:
        num_blocks: Integer, blocks of a stage: 3 of a ResNet-20, 9 of a ResNet-56.
    """

    def __init__(self, num_blocks=3):
        super().__init__()
        self.num_blocks = num_blocks
        self.conv0 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(16)
        width = 16
        for name, filters, stride in self.blocks():
            conv1 = nn.Conv2d(width, filters, 3, stride, padding=1, bias=False)
            conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
            self.add_module(f"{name}_conv1", conv1)
            self.add_module(f"{name}_bn1", nn.BatchNorm2d(filters))
            self.add_module(f"{name}_conv2", conv2)
            self.add_module(f"{name}_bn2", nn.BatchNorm2d(filters))
            if stride > 1:
                short = nn.Conv2d(width, filters, 1, stride, bias=False)
                self.add_module(f"{name}_short", short)
            width = filters
        self.fc = nn.Linear(64, 10)

    def blocks(self):
        """Yields name, filters and stride of each block."""
        for stage, filters in enumerate((16, 32, 64), start=1):
            for block in range(self.num_blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                yield f"g{stage}b{block}", filters, stride

    def forward(self, x):
        x = functional.relu(self.bn0(self.conv0(x)))
        for name, _, stride in self.blocks():
            conv1, bn1, conv2, bn2 = (
                getattr(self, f"{name}_{end}") for end in "conv1 bn1 conv2 bn2".split()
            )
            skip = getattr(self, f"{name}_short")(x) if stride > 1 else x
            inside = functional.relu(bn1(conv1(x)))
            x = functional.relu(bn2(conv2(inside)) + skip)
        return self.fc(x.mean((2, 3)))

    def ignored_layers(self, layers):
        """Returns the modules whose outputs stay: all but the blocks' first layers."""
        if layers == "all":
            return [self.fc]
        return [
            module
            for name, module in self.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear) and not name.endswith("conv1")
        ]


class Cnn(nn.Sequential):
    """The plain network: 64-64-M-128-128-M-64-64-M and three dense layers."""

    def __init__(self):
        super().__init__()
        width, number = 3, 0
        for filters in (64, 64, "M", 128, 128, "M", 64, 64):
            if filters == "M":
                self.add_module(f"pool_{number}", nn.MaxPool2d(2))
                continue
            end = f"_{number}" if number else ""
            self.add_module(f"conv2d{end}", nn.Conv2d(width, filters, 3))
            self.add_module(f"relu{end}", nn.ReLU())
            norm = nn.BatchNorm2d(filters, eps=1e-3)
            self.add_module(f"batch_normalization{end}", norm)
            width, number = filters, number + 1
        self.add_module("flatten", nn.Flatten())
        for name, ins, outs in (
            ("dense", 64, 1024),
            ("dense_1", 1024, 512),
            ("dense_2", 512, 10),
        ):
            self.add_module(name, nn.Linear(ins, outs))
            self.add_module(f"{name}_relu", nn.ReLU())

    def ignored_layers(self, layers):
        """Returns the modules whose outputs stay: the last one."""
        return [self.dense_2]

    def forward_partial(self, x, from_module=None, to_module=None):
        """Runs the modules behind `from_module` up to `to_module`, for TorchPruner."""
        modules = list(self)
        start = 0 if from_module is None else modules.index(from_module) + 1
        end = len(modules) if to_module is None else modules.index(to_module) + 1
        for module in modules[start:end]:
            x = module(x)
        return x

    forward = forward_partial


NETWORKS = {
    "resnet20": ResNet,
    "resnet56": functools.partial(ResNet, num_blocks=9),
    "cnn": Cnn,
}


@dataclasses.dataclass
class Problem:
    """A network with its data.

    Attributes:
        name: String.
        model: The module, in evaluation mode.
        draws: For each seed, a tuple of images and labels.
        test: Tuple of images and labels.
    """

    name: str
    model: nn.Module
    draws: list
    test: tuple

    def accuracy(self, model):
        """Returns the share of test images that `model` gets right."""
        model.eval()
        with torch.no_grad():
            outputs = [model(images) for images in self.test[0].split(250)]
        return float((torch.cat(outputs).argmax(1) == self.test[1]).float().mean())


def load(name, cache=".cache"):
    """Returns the `Problem` that `export.py` wrote, after checking its outputs."""
    with np.load(pathlib.Path(cache) / "peers" / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    model = NETWORKS[name]()
    weights = {k[2:]: v for k, v in arrays.items() if k.startswith("w/")}
    found = model.load_state_dict(weights, strict=False)
    left_out = [k for k in found.missing_keys if not k.endswith("num_batches_tracked")]
    if left_out or found.unexpected_keys:
        raise ValueError(f"Expected the same names in both networks. Received: {found}")
    model.eval()

    def images(key):
        x = arrays[key].permute(0, 3, 1, 2)
        return x.contiguous(memory_format=torch.channels_last)

    with torch.no_grad():
        received = model(images("x_test")[: len(arrays["expected"])])
    difference = float((received - arrays["expected"]).abs().max())
    if difference > 1e-3:
        raise ValueError(f"Expected outputs equal to Keras. Received: {difference}")
    print(f"{name}: largest difference to Keras {difference:.1e}")
    seeds = range(sum(key.startswith("y_") for key in arrays) - 1)
    draws = [(images(f"x_{s}"), arrays[f"y_{s}"].long()) for s in seeds]
    return Problem(name, model, draws, (images("x_test"), arrays["y_test"].long()))


def count_macs(model, image):
    """Returns the multiplications of convolutions and dense layers for one image."""
    total = 0

    def hook(module, inputs, output):
        nonlocal total
        total += module.weight[0].numel() * output[0].numel()

    handles = [
        module.register_forward_hook(hook)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    return total


def count_params(model):
    """Returns how many numbers a network's weights and statistics have."""
    values = model.state_dict()
    return sum(v.numel() for k, v in values.items() if "num_batches" not in k)


def shares_left(model, original, image):
    """Returns the shares of multiplications and of parameters that are left."""
    return (
        count_macs(model, image) / count_macs(original, image),
        count_params(model) / count_params(original),
    )


def reestimate_batchnorm(model, images):
    """Sets the statistics of all batch normalizations to those of `images`."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        model(images)
    model.eval()
